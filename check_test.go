package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/check"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// checked is what reading check returns, after what holds for every answer was looked
// at.
func (m *mount) checked() fields {
	m.t.Helper()
	data := m.read("check")
	listed := map[string][]string{"fail": {}, "warn": {}}
	for _, name := range check.Names {
		text, _ := data[name].(string)
		verdict, finding, _ := strings.Cut(text, ": ")
		if !slices.Contains([]string{"pass", "warn", "fail", "skip"}, verdict) || finding == "" {
			m.t.Errorf("%s is %q", name, text)
		}
		_, remedied := data[name+"_remedy"]
		if trouble := verdict == "warn" || verdict == "fail"; remedied != trouble {
			m.t.Errorf("%s is %q, with a remedy: %t", name, text, remedied)
		}
		listed[verdict] = append(listed[verdict], name)
	}
	if failed, warned := data["failed"].([]string), data["warned"].([]string); !slices.Equal(failed, listed["fail"]) || !slices.Equal(warned, listed["warn"]) {
		m.t.Errorf("failed is %q and warned %q, of %v", failed, warned, data)
	}
	if _, err := time.Parse(time.RFC3339, data["checked_at"].(string)); err != nil {
		m.t.Error(err)
	}
	return data
}

// wantCheck wants one check to begin with a verdict and to hold some words.
func wantCheck(t *testing.T, data fields, name, want string, words ...string) {
	t.Helper()
	text := data[name].(string)
	if !strings.HasPrefix(text, want+": ") {
		t.Errorf("%s is %q, want %s", name, text, want)
	}
	all := text
	if remedy, ok := data[name+"_remedy"].(string); ok {
		all += " " + remedy
	}
	for _, word := range words {
		if !strings.Contains(all, word) {
			t.Errorf("%s is %q, without %q", name, all, word)
		}
	}
}

func TestCheckOfAGoodMount(t *testing.T) {
	m := newDemo(t, fields{"token_reviewer_jwt": nil}, nil)
	m.write("config", m.config(fields{
		"token_reviewer_jwt": m.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Expiry(time.Now().Add(48*time.Hour))),
	}))
	m.api.Forget()
	data := m.checked()
	// The fake's certificate is good for an hour.
	if data["status"] != "warn" || !slices.Equal(data["warned"].([]string), []string{"tls"}) {
		t.Errorf("%v", data)
	}
	if data["kubernetes_host"] != m.api.URL {
		t.Errorf("kubernetes_host is %v", data["kubernetes_host"])
	}
	for name, words := range map[string][]string{
		"configuration": {"kubernetes_ca_cert", "token_reviewer_jwt"}, "reachable": {"127.0.0.1:"}, "server": {kubetest.GitVersion}, "clock": nil,
		"reviewer":                {"system:serviceaccount:kube-system:reviewer"},
		"reviewer_token":          {"nobody renews it"},
		"permission_tokenreviews": {"every login"}, "permission_serviceaccounts": {"renewal_check"},
		"issuer": {m.api.Issuer},
	} {
		wantCheck(t, data, name, "pass", words...)
	}
	for _, name := range []string{"permission_namespaces", "permission_pods", "verification", "pem_keys"} {
		wantCheck(t, data, name, "skip")
	}
	for _, r := range m.api.Requests() {
		if r.Resource == kubetest.TokenReviews || r.Resource == kubetest.Namespaces || r.Resource == kubetest.ServiceAccounts {
			t.Errorf("the check asked for %s", r.Path)
		}
	}
}

func TestCheckWithoutConfiguration(t *testing.T) {
	m := newMount(t)
	data := m.checked()
	if data["status"] != "fail" || !slices.Equal(data["failed"].([]string), []string{"configuration"}) {
		t.Errorf("%v", data)
	}
	wantCheck(t, data, "configuration", "fail", "no configuration", "vault write auth/test/config kubernetes_host=")
	m.stored("config", `{"host":"HOST","ca_cert":"CA","pem_keys":["garbage"],"disable_local_ca_jwt":true,"disable_iss_validation":true}`)
	wantCheck(t, m.checked(), "configuration", "fail", "pem_keys")
	m.storage.put(t, "config", "{")
	wantCheck(t, m.checked(), "configuration", "fail", "cannot be read")
	if got := len(m.api.Requests()); got != 0 {
		t.Errorf("%d requests were made", got)
	}
}

func TestCheckOfAnIssuerLeftOpen(t *testing.T) {
	m := newMount(t)
	m.stored("config", vaultConfigOldest)
	wantCheck(t, m.checked(), "issuer", "warn", "no issuer is named", "vault patch auth/test/config disable_iss_validation=true", "issuer="+m.api.Issuer)
}

func TestCheckOfStorageThatFails(t *testing.T) {
	for _, key := range []string{"config", "role/", "binding-rule/"} {
		m := newDemo(t, nil, nil)
		m.storage.fail(key)
		if o := m.do(logical.ReadOperation, "check", nil); o.status != http.StatusInternalServerError {
			t.Errorf("%s: %d %s", key, o.status, o.message)
		}
	}
}

// Everything that a configuration, a role or a rule can get wrong.
func TestCheckFindings(t *testing.T) {
	other := kubetest.NewECDSAKey()
	type want struct {
		check, verdict string
		words          []string
	}
	for name, row := range map[string]struct {
		config, role fields
		before       func(*mount)
		want         []want
	}{
		"reviewer deleted": {
			before: func(m *mount) { m.api.DeleteServiceAccount(kubetest.ReviewerNamespace, kubetest.ReviewerName) },
			want: []want{
				{"server", "pass", nil},
				{"reviewer", "fail", []string{"401", "another cluster", kubetest.DefaultIssuer, "vault patch auth/test/config token_reviewer_jwt=@reviewer.jwt"}},
				{"permission_tokenreviews", "skip", nil}, {"permission_serviceaccounts", "skip", nil}, {"issuer", "skip", []string{"rejects"}},
				{"verification", "skip", []string{"rejects"}},
			},
			config: fields{"verification": "keys_then_review"},
		},
		"reviewer is garbage": {
			config: fields{"token_reviewer_jwt": "garbage-that-is-rather-long-for-a-password"},
			want:   []want{{"reviewer", "fail", []string{"no service account token"}}, {"reviewer_token", "skip", nil}},
		},
		"reviewer without permission": {
			before: func(m *mount) { m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenReviews) },
			want: []want{{"permission_tokenreviews", "fail", []string{
				"kubectl create clusterrolebinding", "--clusterrole=system:auth-delegator --serviceaccount=kube-system:reviewer",
				"kubectl auth can-i create tokenreviews -A --as=system:serviceaccount:kube-system:reviewer",
			}}},
		},
		"no permission to get service accounts, only renewals need it": {
			before: func(m *mount) {
				m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.ServiceAccounts)
			},
			want: []want{{"permission_serviceaccounts", "warn", []string{"renewal_check", "vault patch auth/test/config renewal_check=none"}}},
		},
		"no permission to get service accounts, nothing needs it": {
			config: fields{"renewal_check": "none"},
			before: func(m *mount) {
				m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.ServiceAccounts)
			},
			want: []want{{"permission_serviceaccounts", "skip", []string{"nothing needs it"}}},
		},
		"no permission to get pods, renewals need it": {
			config: fields{"renewal_check": "pod"},
			before: func(m *mount) {
				m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Pods)
			},
			want: []want{{"permission_pods", "warn", []string{"although their pods are gone", "--verb=get --resource=pods", "vault patch auth/test/config renewal_check=service_account"}}},
		},
		"renewals look at pods": {
			config: fields{"renewal_check": "pod"},
			want:   []want{{"permission_pods", "pass", []string{"get pods", "renewal_check"}}},
		},
		"no permission to get service accounts, annotations need it": {
			config: fields{"use_annotations_as_alias_metadata": true},
			before: func(m *mount) {
				m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.ServiceAccounts)
			},
			want: []want{{"permission_serviceaccounts", "fail", []string{"use_annotations_as_alias_metadata", "--verb=get --resource=serviceaccounts"}}},
		},
		"no permission to get namespaces, a role needs it": {
			role:   fields{"bound_service_account_namespace_selector": "{}"},
			before: func(m *mount) { m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Namespaces) },
			want:   []want{{"permission_namespaces", "fail", []string{`role "demo"`, "--verb=get --resource=namespaces"}}},
		},
		"selector of a role needs both": {
			role: fields{"selector": `namespace.labels.team == "ci" and serviceaccount.labels.team == "ci"`},
			want: []want{{"permission_namespaces", "pass", []string{`role "demo"`}}, {"permission_serviceaccounts", "pass", []string{`role "demo"`}}},
		},
		"rules need them": {
			config: fields{"service_name_annotation": "a/b", "renewal_check": "none"},
			before: func(m *mount) {
				for _, name := range []string{"a", "b", "c", "d", "e"} {
					m.write("binding-rule/"+name, fields{"bind_type": "policy", "bind_name": `p-${namespace.labels["team"]}`})
				}
				m.overridingRule("o", `serviceaccount.name == "x"`, "policy", "o")
			},
			want: []want{
				{"permission_namespaces", "pass", []string{`binding rule "a", binding rule "b", binding rule "c" and 2 more`}},
				{"permission_serviceaccounts", "pass", []string{`binding rule "o" (use_service_name_annotation)`}},
			},
		},
		"rule that is to see an annotation that nobody names": {
			before: func(m *mount) { m.overridingRule("o", `serviceaccount.name == "x"`, "policy", "o") },
			want:   []want{{"configuration", "warn", []string{`binding rule "o" (use_service_name_annotation)`, "names no annotation"}}},
		},
		"reviewer that may ask nothing about itself": {
			before: func(m *mount) {
				m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.SelfReviews, kubetest.AccessReviews, kubetest.Version, kubetest.Discovery)
			},
			want: []want{
				{"server", "pass", []string{"its version"}}, {"reviewer", "pass", []string{"does not tell who it is"}},
				{"permission_tokenreviews", "pass", nil}, {"permission_serviceaccounts", "skip", []string{"may not ask"}}, {"issuer", "skip", nil},
			},
		},
		"reviewer that may ask nothing at all": {
			before: func(m *mount) {
				m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.SelfReviews, kubetest.AccessReviews, kubetest.TokenReviews)
			},
			want: []want{{"permission_tokenreviews", "fail", []string{"--clusterrole=system:auth-delegator --serviceaccount=NAMESPACE:NAME"}}},
		},
		"API server without SelfSubjectReview": {
			before: func(m *mount) { m.api.Fail(http.NotFound, kubetest.SelfReviews) },
			want:   []want{{"reviewer", "pass", []string{"accepts"}}, {"permission_tokenreviews", "pass", nil}},
		},
		"a site that has nothing": {
			before: func(m *mount) { m.api.Fail(http.NotFound) },
			want: []want{
				{"server", "fail", []string{"base URL"}}, {"reviewer", "fail", []string{"no Kubernetes API"}}, {"permission_tokenreviews", "skip", nil},
			},
		},
		"a front that takes the credential away": {
			before: func(m *mount) { m.api.Behind(kubetest.WithoutAuthorization()) },
			want: []want{
				{"reviewer", "fail", []string{"no credential", "Authorization"}}, {"permission_tokenreviews", "skip", []string{"does not know the reviewer"}},
			},
		},
		"a proxy that takes the credential away": {
			before: func(m *mount) {
				m.api.Fail(kubetest.Text(http.StatusCreated, "application/json",
					`{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","status":{"userInfo":{"username":"system:anonymous"}}}`), kubetest.SelfReviews)
			},
			want: []want{{"reviewer", "fail", []string{"no credential", "Authorization"}}},
		},
		"no reviewer": {
			config: fields{"token_reviewer_jwt": nil, "verification": "keys_then_review"},
			want: []want{
				{"server", "pass", []string{kubetest.GitVersion}}, {"reviewer", "warn", []string{"none is configured", "system:auth-delegator", "token_reviewer_jwt=@reviewer.jwt"}}, {"reviewer_token", "skip", nil},
				{"permission_tokenreviews", "skip", []string{"each service account"}}, {"verification", "skip", nil},
			},
		},
		"not an API server": {
			before: func(m *mount) { m.api.Fail(kubetest.HTML(http.StatusOK)) },
			want: []want{
				{"tls", "warn", nil}, {"server", "fail", []string{"unusable answer", "base URL"}}, {"reviewer", "fail", nil}, {"permission_tokenreviews", "skip", nil},
			},
		},
		"API server with trouble": {
			before: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError)) },
			want:   []want{{"server", "fail", []string{"server error"}}, {"clock", "pass", nil}},
		},
		"clock ahead":          {before: func(m *mount) { m.api.SetClock(5 * time.Minute) }, want: []want{{"clock", "fail", []string{"5m0s ahead", "NTP"}}}},
		"clock behind":         {before: func(m *mount) { m.api.SetClock(-5 * time.Minute) }, want: []want{{"clock", "fail", []string{"behind"}}}},
		"clock a little ahead": {before: func(m *mount) { m.api.SetClock(time.Minute) }, want: []want{{"clock", "warn", []string{"1m0s ahead"}}}},
		"clock seconds behind": {before: func(m *mount) { m.api.SetClock(-20 * time.Second) }, want: []want{{"clock", "pass", []string{"20s behind"}}}},
		"issuer": {
			config: fields{"disable_iss_validation": false, "issuer": "https://elsewhere"},
			want: []want{{"issuer", "fail", []string{
				"https://elsewhere", kubetest.DefaultIssuer, "disable_iss_validation=true", "issuer=" + kubetest.DefaultIssuer,
			}}},
		},
		"issuer that is right": {
			config: fields{"disable_iss_validation": false, "issuer": kubetest.DefaultIssuer}, want: []want{{"issuer", "pass", []string{"as the configuration asks"}}},
		},
		"issuer of secrets": {
			config: fields{"disable_iss_validation": false}, want: []want{{"issuer", "warn", []string{"kubernetes/serviceaccount", "secrets"}}},
		},
		"issuer that cannot be compared": {
			config: fields{"disable_iss_validation": false, "issuer": kubetest.DefaultIssuer},
			before: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusForbidden), kubetest.Discovery) },
			want:   []want{{"issuer", "warn", []string{"system:service-account-issuer-discovery"}}},
		},
		"cluster keys": {
			config: fields{"verification": "keys_then_review"}, want: []want{{"verification", "pass", []string{"1 key"}}},
		},
		"cluster keys that may not be read": {
			config: fields{"verification": "keys_then_review"},
			before: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusForbidden), kubetest.SigningKeys) },
			want:   []want{{"verification", "fail", []string{"vault-issuer-discovery-kube-system-reviewer --clusterrole=system:service-account-issuer-discovery --serviceaccount=kube-system:reviewer"}}},
		},
		"cluster keys that are none": {
			config: fields{"verification": "keys_then_review"},
			before: func(m *mount) {
				m.api.Fail(kubetest.Text(http.StatusOK, "application/json", "{}"), kubetest.SigningKeys)
			},
			want: []want{{"verification", "fail", []string{"unusable answer"}}},
		},
		"pem_keys of another cluster": {
			config: fields{"pem_keys": []string{other.PublicPEM()}}, want: []want{{"pem_keys", "fail", []string{"every token is refused", "pem_keys= verification=keys_then_review"}}},
		},
		"pem_keys that rotation leaves behind": {
			before: func(m *mount) {
				m.write("config", m.config(fields{"pem_keys": []string{m.api.ECDSAKey().CertificatePEM(), other.PublicPEM()}}))
				m.api.RSAKey()
			},
			want: []want{{"pem_keys", "warn", []string{"1 of the 2 keys"}}},
		},
		"pem_keys that are right": {
			before: func(m *mount) {
				m.write("config", m.config(fields{"pem_keys": []string{m.api.ECDSAKey().CertificatePEM()}}))
			},
			want: []want{{"pem_keys", "pass", nil}},
		},
		"role that nobody can use": {
			before: func(m *mount) {
				m.storage.put(t, "role/bad", `{"bound_service_account_names":["a"],"bound_service_account_namespaces":["b"],"selector":"(("}`)
				m.storage.put(t, "role/worse", "{")
				m.storage.put(t, "binding-rule/broken", "{")
			},
			want: []want{{"configuration", "warn", []string{`role "bad"`, `"worse"`, `binding rule "broken"`}}},
		},
		"role without audience": {
			role:   fields{"audience": nil},
			before: func(m *mount) { m.write("config", m.config(fields{"require_audience": true})) },
			want:   []want{{"configuration", "warn", []string{`role "demo"`, "require_audience"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, row.role)
			if row.before != nil {
				row.before(m)
			}
			data := m.checked()
			for _, w := range row.want {
				wantCheck(t, data, w.check, w.verdict, w.words...)
			}
		})
	}
}

func TestCheckOfTheReviewersToken(t *testing.T) {
	for name, row := range map[string]struct {
		expiry        time.Duration
		pod           bool
		verdict, word string
	}{
		"expired":                {-time.Minute, false, "fail", "expired at"},
		"of the pod, expired":    {-time.Minute, true, "fail", "kubelet"},
		"expires soon":           {23 * time.Hour, false, "warn", "nobody renews it"},
		"of the pod, renewed":    {time.Hour, true, "pass", "renews"},
		"expires in a long time": {48 * time.Hour, false, "pass", "expires at"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			reviewer := m.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Expiry(time.Now().Add(row.expiry)))
			if row.pod {
				m.podFile("ca.crt", m.api.CAPEM)
				m.podFile("token", reviewer)
				m.write("config", fields{"kubernetes_host": m.api.URL})
			} else {
				m.write("config", m.config(fields{"token_reviewer_jwt": reviewer}))
			}
			data := m.checked()
			wantCheck(t, data, "reviewer_token", row.verdict, row.word)
			if row.expiry < 0 {
				wantCheck(t, data, "reviewer", "fail")
			}
		})
	}
	m := newMount(t)
	m.write("config", m.config(fields{"token_reviewer_jwt": m.api.LegacyToken(kubetest.ReviewerNamespace, kubetest.ReviewerName, "secret")}))
	wantCheck(t, m.checked(), "reviewer_token", "pass", "does not expire")
}

// The way to the API server, up to its certificate. What test/e2e shows with real
// processes is not repeated.
func TestCheckOfTheWay(t *testing.T) {
	listen := func(t *testing.T, talk func(net.Conn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				_, _ = conn.Read(make([]byte, 1))
				talk(conn)
				_ = conn.Close()
			}
		}()
		return l.Addr().String()
	}
	certified := func(o kubetest.Options) func(*testing.T) fields {
		return func(t *testing.T) fields {
			s := kubetest.StartWith(t, o)
			return fields{"kubernetes_host": s.URL, "kubernetes_ca_cert": s.CAPEM}
		}
	}
	inDays := func(days int) time.Time { return time.Now().Add(time.Duration(days) * 24 * time.Hour) }
	for name, row := range map[string]struct {
		config                func(*testing.T) fields
		check, verdict, words string
	}{
		"another protocol": {func(t *testing.T) fields {
			return fields{"kubernetes_host": listen(t, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.6\r\n")) })}
		}, "tls", "fail", "speaks no TLS"},
		"hangs up": {func(t *testing.T) fields {
			return fields{"kubernetes_host": listen(t, func(net.Conn) {})}
		}, "tls", "fail", "during the TLS handshake"},
		"no common TLS version": {certified(kubetest.Options{TLS: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }}),
			"tls", "fail", "refuses the TLS handshake"},
		"plain HTTP": {func(t *testing.T) fields {
			server := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			return fields{"kubernetes_host": server.URL}
		}, "tls", "warn", "in the clear"},
		"not valid yet":  {certified(kubetest.Options{NotAfter: inDays(100)}), "tls", "fail", "is not valid before"},
		"ends in a week": {certified(kubetest.Options{NotAfter: inDays(1)}), "tls", "warn", "ends in 1.0 days"},
		"all that can be wrong at once": {func(t *testing.T) fields {
			return fields{"kubernetes_host": kubetest.StartWith(t, kubetest.Options{NotAfter: inDays(-1), Names: []string{"kube.test"}}).URL}
		}, "tls", "fail", "expired at|wrong CA|wrong server name|kubeadm|kubernetes_ca_cert=@ca.crt # on each|take none of them over"},
		"proxy that refuses": {func(t *testing.T) fields {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
			t.Cleanup(server.Close)
			return fields{"proxy_url": strings.Replace(server.URL, "://", "://user:hunter2hunter2@", 1)}
		}, "reachable", "fail", `the proxy|answers "403 Forbidden" when asked to connect to|vault patch auth/test/config proxy_url=`},
		"proxy that is none": {func(t *testing.T) fields {
			return fields{"proxy_url": "http://user:hunter2hunter2@" + listen(t, func(c net.Conn) { _, _ = c.Write([]byte("hunter2hunter2 is no HTTP\r\n\r\n")) })}
		}, "reachable", "fail", "makes no connection to"},
		"proxy that does not resolve": {func(*testing.T) fields {
			return fields{"proxy_url": "http://proxy.invalid:3128"}
		}, "reachable", "fail", "the name in proxy_url does not resolve"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("config", m.config(row.config(t)))
			data := m.checked()
			wantCheck(t, data, row.check, row.verdict, strings.Split(row.words, "|")...)
			if row.verdict == "fail" {
				wantCheck(t, data, "server", "skip")
			}
			for key, value := range data {
				if strings.Contains(fmt.Sprint(value), "hunter2") {
					t.Errorf("the proxy's password is in %s: %v", key, value)
				}
			}
		})
	}
}

// One request that hangs leaves the others their verdict, and the whole its deadline.
func TestCheckOfAServerThatHangs(t *testing.T) {
	m := newDemo(t, fields{"request_timeout": 1, "verification": "keys_then_review"}, nil)
	m.api.Fail(kubetest.Hang(), kubetest.Version, kubetest.SigningKeys)
	start := time.Now()
	data := m.checked()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	wantCheck(t, data, "server", "fail", "timeout")
	wantCheck(t, data, "verification", "fail", "timeout")
	for _, name := range []string{"reachable", "reviewer", "permission_tokenreviews", "issuer"} {
		wantCheck(t, data, name, "pass")
	}
	m.api.Heal()
	m.api.Fail(kubetest.Hang())
	start = time.Now()
	data = m.checked()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %s when all hangs", took)
	}
	wantCheck(t, data, "reachable", "pass")
	wantCheck(t, data, "reviewer", "fail", "timeout")
}

// What stands before an API server can repeat what was sent to it, whole or in part.
func TestCheckAnswersWithoutCredentials(t *testing.T) {
	const window = 12
	m := newDemo(t, nil, nil)
	reviewer := m.api.Reviewer
	for name, echo := range map[string]string{
		"whole":      "you sent Authorization: Bearer " + reviewer,
		"in part":    "you sent " + reviewer[:60] + " and " + reviewer[len(reviewer)/2:len(reviewer)-20] + "\nand more",
		"in a query": "https://example.com/?token=" + reviewer,
	} {
		t.Run(name, func(t *testing.T) {
			m.api.Heal()
			m.api.Fail(kubetest.Text(http.StatusInternalServerError, "text/plain", echo))
			answer, err := json.Marshal(m.checked())
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+window <= len(reviewer); i++ {
				if strings.Contains(string(answer), reviewer[i:i+window]) {
					t.Fatalf("a part of the reviewer's token is in %s", answer)
				}
			}
			if !strings.Contains(string(answer), scrub.Redacted) {
				t.Errorf("nothing was taken out of %s", answer)
			}
		})
	}
}

func TestCheckBoundsTheRoles(t *testing.T) {
	m := newDemo(t, nil, nil)
	for i := range check.MaxRoles + 5 {
		m.storage.put(t, "role/z"+time.Duration(i).String(), `{"bound_service_account_names":["a"],"bound_service_account_namespaces":["b"]}`)
	}
	wantCheck(t, m.checked(), "permission_namespaces", "skip", "the first 1000 of 1006 roles")
	if cached := m.roles.Len(); cached != 0 {
		t.Errorf("%d roles are kept in memory", cached)
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"auth/kubernetes/config": "auth/kubernetes/config", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'",
	} {
		if got := shell.Word(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
}

// A remedy that goes to whichever cluster kubectl is for says which one it has to be.
func TestCheckSaysWhereKubectlGoes(t *testing.T) {
	m := newDemo(t, fields{"renewal_check": "none"}, nil)
	lasting := m.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Audience(m.api.Issuer), kubetest.Expiry(time.Now().Add(48*time.Hour)))
	m.write("config", m.config(fields{"renewal_check": "none", "token_reviewer_jwt": lasting}))
	if note := m.checked()["note"]; note != nil {
		t.Errorf("without a command of kubectl: %v", note)
	}
	m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenReviews)
	if note := fmt.Sprint(m.checked()["note"]); !strings.Contains(note, "current context") || !strings.Contains(note, m.api.URL) {
		t.Errorf("with one: %v", note)
	}
}
