package main

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/consultest"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/rules"
)

// echoDrives make the requests of a mount, by path and operation. A path of the plugin
// that is not among them fails TestEchoDrivesAllPaths.
var echoDrives = map[string]func(e *echoMount) outcome{
	"login update": func(e *echoMount) outcome {
		e.want("login by rules", e.loginByRules(e.jwt))
		e.want("login with the token as the role", e.login(e.jwt, e.jwt))
		if e.two {
			e.want("login with two tokens", e.loginWithTwo(e.jwt, e.second))
			e.want("login with two tokens, each in the place of the other", e.loginWithTwo(e.second, e.jwt))
		}
		return e.login("demo", e.jwt)
	},
	"login alias-lookahead": func(e *echoMount) outcome { return e.lookahead("demo", e.jwt) },
	"login resolve-role": func(e *echoMount) outcome {
		return e.do(logical.ResolveRoleOperation, "login", fields{"role": "demo", "jwt": e.jwt})
	},
	"login renew": func(e *echoMount) outcome {
		for _, auth := range e.leased {
			e.want("renewal", e.renew(auth))
		}
		return outcome{}
	},
	"explain update": func(e *echoMount) outcome {
		e.want("explain by rules", e.explain(fields{"jwt": e.jwt}))
		e.want("explain with the token as the role", e.explain(fields{"role": e.jwt, "jwt": e.jwt}))
		if e.two {
			e.want("explain with two tokens", e.explain(fields{"role": "demo", "jwt": e.jwt, "reviewer_jwt": e.second}))
		}
		return e.explain(fields{"role": "demo", "jwt": e.jwt})
	},
	"access/policy/ read":          func(e *echoMount) outcome { return e.do(logical.ReadOperation, "access/policy/p", nil) },
	"access/service-account/ read": func(e *echoMount) outcome { return e.do(logical.ReadOperation, "access/service-account/apps/web", nil) },
	"check read":                   func(e *echoMount) outcome { return e.do(logical.ReadOperation, "check", nil) },
	"metrics read":                 func(e *echoMount) outcome { return e.do(logical.ReadOperation, "metrics", nil) },
	"config read":                  func(e *echoMount) outcome { return e.do(logical.ReadOperation, "config", nil) },
	"config patch": func(e *echoMount) outcome {
		return e.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": e.api.Reviewer, "tls_server_name": "no name: " + e.api.Reviewer})
	},
	"config update": func(e *echoMount) outcome { // without a change, or refused
		for _, field := range []string{"kubernetes_host", "proxy_url", "kubernetes_ca_cert", "pem_keys", "service_name_annotation", "cluster_name"} {
			for _, secret := range e.secrets {
				for _, text := range []string{secret, secret + "\x00", "http://" + secret + "@:0", "https://host:" + secret, strings.Repeat(secret, 5)} {
					before := e.storage.text(e.test, "config")
					o := e.do(logical.UpdateOperation, "config", e.config(fields{field: text}))
					e.want("config with a secret as "+field, o)
					e.storage.put(e.test, "config", before)
					e.InvalidateKey(e.test.Context(), "config")
				}
			}
		}
		return e.do(logical.UpdateOperation, "config", e.config(fields{"request_timeout": e.jwt}))
	},
	"config/rotate-reviewer update": func(e *echoMount) outcome { // of a mount that makes such tokens
		before := e.storage.text(e.test, "config")
		defer func() {
			e.storage.put(e.test, "config", before)
			e.InvalidateKey(e.test.Context(), "config")
		}()
		e.want("a first token", e.do(logical.UpdateOperation, "config", e.config(fields{"token_reviewer_service_account": reviewerAccount})))
		e.want("check of it", e.do(logical.ReadOperation, "check", nil))
		e.want("account with a secret", e.do(logical.PatchOperation, "config", fields{"token_reviewer_service_account": e.jwt}))
		return e.do(logical.UpdateOperation, "config/rotate-reviewer", nil)
	},
	"config delete": func(*echoMount) outcome { return outcome{} }, // has nothing to say
	"role list":     func(e *echoMount) outcome { return e.do(logical.ListOperation, "role/", nil) },
	"role/ read":    func(e *echoMount) outcome { return e.do(logical.ReadOperation, "role/demo", nil) },
	"role/ delete":  func(e *echoMount) outcome { return e.do(logical.DeleteOperation, "role/none", nil) },
	"role/ create":  func(e *echoMount) outcome { return e.wrong("role/" + e.jwt) },
	"role/ update":  func(e *echoMount) outcome { return e.wrong("role/demo") },
	"binding-rule list": func(e *echoMount) outcome {
		return e.do(logical.ListOperation, rules.Prefix, nil)
	},
	"binding-rule/ read":   func(e *echoMount) outcome { return e.do(logical.ReadOperation, rules.Prefix+"all", nil) },
	"binding-rule/ delete": func(e *echoMount) outcome { return e.do(logical.DeleteOperation, rules.Prefix+"none", nil) },
	"binding-rule/ create": func(e *echoMount) outcome { return e.wrong(rules.Prefix + e.jwt) },
	"binding-rule/ update": func(e *echoMount) outcome { return e.wrong(rules.Prefix + "all") },
	"binding-rule/ patch": func(e *echoMount) outcome {
		return e.do(logical.PatchOperation, rules.Prefix+"all", fields{"selector": e.jwt + " == "})
	},
	"consul/config read": func(e *echoMount) outcome { return e.do(logical.ReadOperation, "consul/config", nil) },
	"consul/config create": func(e *echoMount) outcome {
		return e.do(logical.CreateOperation, "consul/config", fields{"address": "x", "token": e.jwt})
	},
	"consul/config update": func(e *echoMount) outcome {
		for _, field := range []string{"address", "ca_cert", "client_cert", "client_key", "tls_server_name", "datacenter", "namespace", "partition", "token_locality", "auth_method", "max_token_ttl", "namespace_rules"} {
			for _, secret := range e.secrets {
				e.want("consul/config with a secret as "+field, e.do(logical.UpdateOperation, "consul/config", fields{field: secret + "\x00", "token": secret}))
			}
		}
		return e.do(logical.UpdateOperation, "consul/config", fields{"token": e.jwt + " x"})
	},
	"consul/config patch": func(e *echoMount) outcome {
		return e.do(logical.PatchOperation, "consul/config", fields{"token": e.jwt + " x"})
	},
	"consul/config delete": func(*echoMount) outcome { return outcome{} },
	"consul/rotate update": func(e *echoMount) outcome { return e.do(logical.UpdateOperation, "consul/rotate", nil) },
	"consul/token/ read":   func(e *echoMount) outcome { return e.do(logical.ReadOperation, "consul/token/kubernetes", nil) },
	"consul/token/ update": func(e *echoMount) outcome {
		return e.do(logical.UpdateOperation, "consul/token/kubernetes", fields{"jwt": e.jwt})
	},
	"v1/acl/login update": func(e *echoMount) outcome {
		e.want("consul login with the token as a key", e.do(logical.UpdateOperation, "v1/acl/login", fields{e.jwt: "x"}))
		e.want("consul login with the token as the method", e.do(logical.UpdateOperation, "v1/acl/login", fields{"AuthMethod": e.jwt, "BearerToken": e.jwt}))
		return e.do(logical.UpdateOperation, "v1/acl/login", fields{"AuthMethod": "kubernetes", "BearerToken": e.jwt, "Meta": fields{"k": e.jwt}})
	},
	"v1/acl/logout update": func(e *echoMount) outcome { return e.do(logical.UpdateOperation, "v1/acl/logout", nil) },
	"import/consul update": func(e *echoMount) outcome {
		method := fields{"Type": "kubernetes", "Name": "k8s", "Config": fields{"Host": "h", "CACert": e.api.Reviewer, "ServiceAccountJWT": e.api.Reviewer}}
		for what, data := range map[string]fields{
			"objects":          {"auth_method": method, "binding_rules": []any{}},
			"text":             {"tokens": "vault", "auth_method": e.consulMethod(), "binding_rules": e.jwt},
			"a wrong type":     {"auth_method": fields{"Type": "kubernetes", "Config": fields{"ServiceAccountJWT": fields{"x": e.api.Reviewer}}}, "binding_rules": "[]"},
			"a list":           {"auth_method": []any{method}, "binding_rules": "[]"},
			"the token itself": {"auth_method": e.api.Reviewer, "binding_rules": e.jwt},
			"another type":     {"auth_method": fields{"Type": e.jwt, "Config": fields{"ServiceAccountJWT": e.api.Reviewer}}, "binding_rules": "[]"},
			"a wrong field":    {"tokens": "vault", "auth_method": e.consulMethod(), "dry_run": true, "binding_rules": []any{fields{"ID": e.jwt, "AuthMethod": "k8s", "BindType": "role", "Selector": e.jwt, "BindName": e.jwt}}},
			"a wrong setting":  {"auth_method": fields{"Type": "kubernetes", "MaxTokenTTL": e.jwt, "Config": fields{"Host": "h", "CACert": e.api.CAPEM, e.jwt: 1}}, "dry_run": true, "binding_rules": "[]"},
			"a wrong lifetime": {"auth_method": fields{"Type": "kubernetes", "Name": "k8s", "MaxTokenTTL": e.jwt, "Config": fields{"Host": "h", "CACert": e.api.CAPEM}}, "dry_run": true, "binding_rules": "[]"},
			"a wrong key":      {"tokens": "vault", "auth_method": e.consulMethod(), "dry_run": true, "binding_rules": []any{fields{"ID": e.jwt, "Selector": "", e.jwt: e.jwt}}},
			"no yes or no":     {"auth_method": method, "binding_rules": "[]", "dry_run": e.jwt},
		} {
			e.want("import of "+what, e.do(logical.UpdateOperation, "import/consul", data))
		}
		return e.do(logical.UpdateOperation, "import/consul", fields{"tokens": "vault", "auth_method": e.consulMethod(), "binding_rules": "[]", "dry_run": true})
	},
}

// wrong writes a secret into all fields of a role or a rule, one after the other.
func (e *echoMount) wrong(path string) outcome {
	for _, field := range []string{
		"selector", "bind_type", "bind_name", "description", "bound_service_account_names", "bound_service_accounts",
		"bound_service_account_namespace_selector", "alias_name_source", "token_ttl", "token_bound_cidrs", "token_type", "token_num_uses",
	} {
		o := e.do(logical.UpdateOperation, path, e.role(fields{field: e.jwt + " ==", "bind_name": e.jwt + "${", "audience": e.jwt}))
		if o.status == http.StatusOK {
			o.data, o.warnings = nil, nil // it was stored, as it was asked for
		}
		e.want(path+" with a secret as "+field, o)
	}
	return outcome{}
}

// drive makes all requests whose answer depends on the cluster, or on everything.
func (e *echoMount) drive(all bool) {
	e.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(echoDrives)) {
		if all || slices.ContainsFunc([]string{"login", "explain", "check", "metrics"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			e.want(name, echoDrives[name](e))
		}
	}
}

// pathName is a pattern without its expression.
func pathName(p *framework.Path) string {
	name, _, _ := strings.Cut(p.Pattern, "(?P<")
	return strings.TrimSuffix(strings.TrimSuffix(name, "$"), "/?")
}

func TestEchoDrivesAllPaths(t *testing.T) {
	left := maps.Clone(echoDrives)
	delete(left, "login renew") // no operation of the path
	for _, p := range newBackend().Paths {
		operations := slices.Collect(maps.Keys(p.Operations))
		operations = slices.AppendSeq(operations, maps.Keys(p.Callbacks)) //nolint:staticcheck // login has them
		for _, operation := range operations {
			key := pathName(p) + " " + string(operation)
			if echoDrives[key] == nil {
				t.Errorf("no request of echoDrives is %q", key)
			}
			delete(left, key)
		}
	}
	if len(left) > 0 {
		t.Errorf("no path is %v", slices.Collect(maps.Keys(left)))
	}
}

var echoCodes = []int{200, 201, 301, 307, 400, 401, 403, 404, 409, 415, 422, 429, 500, 502, 503}

// TestEcho puts a front before the API server that repeats what it is sent.
func TestEcho(t *testing.T) {
	for i, shape := range slices.Sorted(maps.Keys(kubetest.Shapes)) {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			var reviewed fields
			if i%3 != 0 { // a login that waits for the cluster's keys waits for a second
				reviewed = fields{"verification": nil}
			}
			e := newEchoMount(t, reviewed)
			if e.two = i%3 != 0; e.two {
				e.secrets["login's second token"] = e.second
			}
			e.lease()
			for j, code := range echoCodes {
				if reviewed == nil && j%3 != i/3%3 {
					continue // three shapes have all codes between them
				}
				encoding := echoEncodings[(i*len(echoCodes)+j)%len(echoEncodings)]
				e.api.Heal()
				e.api.Fail(kubetest.Echo(code, encoding.encode, kubetest.Shapes[shape]))
				t.Run(fmt.Sprint(code, "/", encoding.name), func(t *testing.T) {
					e.t, e.test = t, t
					e.freshKeys()
					e.freshLog() // each warning is the first of its kind
					e.drive(false)
				})
			}
		})
	}
	t.Run("all paths", func(t *testing.T) {
		t.Parallel()
		e := newEchoMount(t, fields{"proxy_url": nil})
		e.lease()
		e.api.Fail(kubetest.Echo(http.StatusBadGateway, echoEncodings[0].encode, kubetest.Shapes["text"]))
		e.drive(true)
		for _, p := range e.Paths {
			e.want("help", e.do(logical.HelpOperation, strings.TrimSuffix(pathName(p), "/")+map[bool]string{true: "/x"}[strings.HasSuffix(pathName(p), "/")], nil))
		}
	})
}

// TestEchoOfConsul has Consul, or what stands before it, repeat what it is sent.
func TestEchoOfConsul(t *testing.T) {
	e := newEchoMount(t, nil)
	consul := consultest.New(t)
	e.secrets["consul's token"] = consultest.OwnToken
	e.write("consul/config", fields{"address": consul.URL, "token": consultest.OwnToken, "request_timeout": 1})
	e.rule("consul", "", "consul-role", "ops")
	for i, encoding := range echoEncodings {
		if strings.Contains(encoding.name, "signature") {
			continue // Consul's tokens have none
		}
		for _, status := range []int{echoCodes[i%len(echoCodes)], http.StatusForbidden, http.StatusInternalServerError} {
			consul.SetFault(func(string) consultest.Fault { return consultest.Fault{Status: status, Echo: encoding.encode} })
			e.InvalidateKey(t.Context(), "consul/config")
			e.freshLog()
			e.want(fmt.Sprint("explain, ", encoding.name, ", ", status), e.do(logical.UpdateOperation, "explain", fields{"jwt": e.jwt, "consul": true}))
			for _, name := range slices.Sorted(maps.Keys(echoDrives)) {
				if strings.HasPrefix(name, "v1/") || strings.HasPrefix(name, "consul/") || name == "check read" {
					e.want(fmt.Sprint(name, ", ", encoding.name, ", ", status), echoDrives[name](e))
				}
			}
		}
	}
}

// freshKeys makes the next login ask for the cluster's keys.
func (e *echoMount) freshKeys() {
	e.InvalidateKey(e.test.Context(), "config")
}

// TestEchoInAReview has the API server itself, or a webhook behind it, repeat tokens in
// what it says of a user.
func TestEchoInAReview(t *testing.T) {
	for name, change := range kubetest.EchoReview {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEchoMount(t, fields{"verification": nil})
			for _, encoding := range echoEncodings {
				for _, secret := range e.secrets {
					e.api.OnReview(func(r *authv1.TokenReview) { change(&r.Status, encoding.encode(secret)) })
					e.freshLog()
					e.drive(false)
				}
			}
		})
	}
}

// TestEchoOfASecondToken has the API server repeat the token by which it is asked, in what it
// says of either.
func TestEchoOfASecondToken(t *testing.T) {
	for name, change := range kubetest.EchoReview {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEchoMount(t, fields{"verification": nil})
			e.secrets["login's second token"] = e.second
			for _, encoding := range echoEncodings {
				e.api.OnReview(func(r *authv1.TokenReview) { change(&r.Status, encoding.encode(e.second)) })
				e.freshLog()
				e.want("login with two tokens", e.loginWithTwo(e.jwt, e.second))
				e.want("explain with two tokens", e.explain(fields{"role": "demo", "jwt": e.jwt, "reviewer_jwt": e.second}))
			}
		})
	}
}

// TestEchoInObjects has tokens in what a login looks at in the cluster.
func TestEchoInObjects(t *testing.T) {
	e := newEchoMount(t, nil)
	for _, secret := range e.secrets {
		e.api.Annotate("apps", "web", map[string]string{metadata.AnnotationPrefix + "t": secret, "x": "Bearer " + secret})
		e.write("role/demo", fields{"selector": `serviceaccount.annotations.x == "y"`})
		e.drive(false)
		e.write("role/demo", fields{"selector": ""})
		e.drive(false)
	}
}

// TestEchoOfAProxy goes through a proxy that repeats what it is sent, its own password
// among it.
func TestEchoOfAProxy(t *testing.T) {
	const password = "proxy-Pass%word"
	codes := []int{200, 302, 400, 403, 407, 502}
	for i, encoding := range echoEncodings {
		for j, scheme := range []string{"https", "http"} {
			code := codes[(i+3*j)%len(codes)]
			if code == http.StatusOK && scheme == "https" && i > 0 {
				continue // a tunnel to nowhere takes each request its whole deadline
			}
			t.Run(fmt.Sprint(encoding.name, "/", code, "/", scheme), func(t *testing.T) {
				t.Parallel()
				proxy := echoProxy(t, code, encoding.encode)
				e := newEchoMount(t, nil)
				e.lease()
				e.secrets["proxy's password"] = password
				changes := fields{
					"kubernetes_host": scheme + "://kube.test:6443", "request_timeout": 1,
					"proxy_url": "http://user:proxy-Pass%25word@" + proxy,
				}
				if i%3 != 0 { // see TestEcho
					changes["verification"] = "review"
				}
				e.write("config", e.config(changes))
				e.drive(false)
				e.want("config", e.do(logical.ReadOperation, "config", nil))
				e.want("import", e.do(logical.UpdateOperation, "import/consul", fields{
					"tokens": "vault", "auth_method": e.consulMethod(), "binding_rules": "[]", "dry_run": true,
				}))
			})
		}
	}
}

// echoProxy answers everything with what it was sent, in the status line too.
func echoProxy(t *testing.T, code int, encode func(string) string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go answerWithEcho(conn, code, encode)
		}
	}()
	return listener.Addr().String()
}

func answerWithEcho(conn net.Conn, code int, encode func(string) string) {
	defer conn.Close()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	_, credential, _ := request.BasicAuth()
	if basic, ok := strings.CutPrefix(request.Header.Get("Proxy-Authorization"), "Basic "); ok {
		credential = basic
	}
	var headers strings.Builder
	_ = request.Header.Write(&headers)
	line := strings.NewReplacer("\r", " ", "\n", " ").Replace(encode(headers.String()) + " " + credential)
	body := encode(headers.String()) + "\n" + credential
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nProxy-Authenticate: %s\r\nLocation: %s\r\nContent-Length: %d\r\n\r\n%s", code, line, line, credential, len(body), body)
}
