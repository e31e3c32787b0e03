package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// wrongInput is a field as people write it who mean something else than it says.
type wrongInput struct {
	path, field string
	wrong       any
	// pattern finds the right form in what is said, where it is not simply what comes
	// after the word write.
	pattern string
	want    string // what is read once the form was written
	without string // other fields that the form says to leave out
}

// wrote finds the form that a text says to write: the rest of the line.
const wrote = `[wW]rite:? (.+?)(?:, (?:or|and) .*)?\.?$`

func wrongInputs() []wrongInput {
	const (
		config, role, rule = "config", "role/x", "binding-rule/x"
		names, namespaces  = "bound_service_account_names", "bound_service_account_namespaces"
		pairs, selector    = "bound_service_accounts", "bound_service_account_namespace_selector"
		host, cidrs        = "kubernetes_host", "token_bound_cidrs"
		teamA, example     = `{"matchLabels":{"team":"a"}}`, `such as (\w+)`
	)
	return []wrongInput{
		{config, host, `"https://10.0.0.1:6443"`, "", "https://10.0.0.1:6443", ""},
		{config, host, "https://10.0.0.1:6443,https://10.0.0.2:6443", "", "https://10.0.0.1:6443", ""},
		{config, host, "https://10.0.0.1:6443/api/v1", "", "https://10.0.0.1:6443", ""},
		{config, host, "https://10.0.0.1:6443 https://10.0.0.2:6443", "", "https://10.0.0.1:6443", ""},
		{config, host, "[https://10.0.0.1:6443]", "", "https://10.0.0.1:6443", ""},
		{config, host, "Kubernetes control plane is running at https://10.0.0.1:6443", "", "https://10.0.0.1:6443", ""},
		{config, host, "tcp://10.0.0.1:443", "", "https://10.0.0.1:443", ""},
		{config, host, "https://:6443", `as in (\S+)`, "https://10.0.0.1:6443", ""},
		{config, host, "https://rancher.example/k8s/clusters/c-1/version", "", "https://rancher.example/k8s/clusters/c-1", ""},
		{config, host, "fd00:10:96::1:443", "", "https://[fd00:10:96::1]:443", ""},
		{config, "tls_server_name", "https://kubernetes:6443/", "", "kubernetes", ""},
		{config, "proxy_url", "proxy.example:3128", `write it as in (\S+)`, "http://proxy.example.com:3128", ""},
		{config, "binding_rule_audiences", `["vault"]`, "", "[vault]", ""},
		{config, "binding_rule_audiences", "vault ci", "", "[vault ci]", ""},
		{config, "binding_rule_audiences", "vault;ci", "", "[vault ci]", ""},
		{config, "request_timeout", "500ms", example, "2", ""},
		{config, "token_review_cache_ttl", "900ms", example, "2", ""},
		{config, "max_concurrent_reviews", "1k", `and (\d+)`, "10000", ""},
		{config, "renewal_check", "off", `or (\w+)`, "none", ""},
		{config, "kubernetes_ca_cert", "ca.crt", `kubernetes_ca_cert=(@\S+)`, "@ca.crt", ""},
		{config, "kubernetes_ca_cert", "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority: ca.crt\nkind: Config\n", `prints (kubectl .+)$`, "@ca.crt", ""},
		{config, "kubernetes_ca_cert", `{"apiVersion":"v1","kind":"Secret","data":{"ca.crt":"eA=="}}`, `prints (kubectl .+)$`, "@ca.crt", ""},
		{config, "token_reviewer_jwt", "reviewer.jwt", `token_reviewer_jwt=(@\S+)`, "", ""},
		{config, "token_reviewer_jwt", `{"kind":"Secret","data":{"ca.crt":"eA==","namespace":"eA==","token":"eA=="},"type":"kubernetes.io/service-account-token"}`, `prints (kubectl .+)$`, "", ""},
		{config, "token_reviewer_jwt", "<your reviewer's JWT>", `which (kubectl .+) prints`, "", ""},
		{config, "require_audience", "yes please", `write (\w+)`, "true", ""},
		{config, "disable_local_ca_jwt", "on", "", "true", ""},
		{config, "issuer", `"https://kubernetes.default.svc"`, "", "https://kubernetes.default.svc", ""},
		{config, "issuer", "https://issuer.example/.well-known/openid-configuration", "", "https://issuer.example", ""},

		{config, "issuer", "n/a", `(issuer="")`, "", ""},
		{config, "kubernetes_ca_cert", "n/a", `(kubernetes_ca_cert="")`, "", ""},
		{config, "pem_keys", "[]", `(pem_keys="")`, "[]", ""},
		{config, "service_name_annotation", "n/a", `(service_name_annotation="")`, "", ""},
		{config, "cluster_name", "<no value>", `(cluster_name="")`, "", ""},
		{role, "audience", "null", `(audience="")`, "<nil>", ""},
		{role, "token_policies", "[]", `(token_policies="")`, "[]", ""},

		{role, names, "web db", "", "[web db]", ""},
		{role, names, "web;db", "", "[web db]", ""},
		{role, names, []string{"web,db"}, "", "[web db]", ""},
		{role, names, "Web", "", "[web]", ""},
		{role, names, "^web-.*$", "", "[web-*]", ""},
		{role, names, "web-%", "", "[web-*]", ""},
		{role, names, `["web"]`, "", "[web]", ""},
		{role, names, "apps/web", "", "[]", namespaces},
		{role, namespaces, "apps shop", "", "[apps shop]", ""},
		{role, namespaces, "system:serviceaccount:apps:web", "", "[]", names},
		{role, pairs, "apps:web", "", "[apps/web]", ""},
		{role, pairs, "system:serviceaccount:apps:web shop=api", "", "[apps/web shop/api]", ""},
		{role, selector, "team=a", "", teamA, ""},
		{role, selector, `{"team":"a"}`, "", teamA, ""},
		{role, selector, `namespace.labels.team == "a"`, "", teamA, ""},
		{role, selector, `{"matchLabels":"team=a"}`, "", teamA, ""},
		{role, selector, `{"matchLabel":{"team":"a"}}`, "", teamA, ""},
		{role, selector, `{"match_labels":{"team":"a"}}`, "", teamA, ""},
		{role, selector, "team in (a,b)", "", `{"matchExpressions":[{"key":"team","operator":"In","values":["a","b"]}]}`, ""},
		{role, selector, `{"matchExpressions":{"key":"team","operator":"in","values":["a"]}}`, "", `{"matchExpressions":[{"key":"team","operator":"In","values":["a"]}]}`, ""},
		{role, cidrs, "10.0.0.5/8", "", "[10.0.0.0/8]", ""},
		{role, cidrs, "10.0.0.0/8 192.0.2.1", "", "[10.0.0.0/8 192.0.2.1]", ""},
		{role, cidrs, "10.0.0.0/255.0.0.0", "", "[10.0.0.0/8]", ""},
		{role, cidrs, "10.0.0.1:8200", "", "[10.0.0.1]", ""},
		{role, "audience", "vault,ci", "", "<nil>", ""},
		{role, "audience", `"vault"`, "", "vault", ""},
		{role, "audience", "vault\n", "", "vault", ""},
		{role, "token_policies", "a b", "", "[a b]", ""},
		{role, "max_token_lifetime", "500ms", example, "3600", ""},
		{role, "token_ttl", "1 h", "", "3600", ""},
		{role, "token_ttl", "2days", "", "172800", ""},
		{role, "token_ttl", "soon", example, "1800", ""},
		{role, "token_num_uses", "five", example, "5", ""},
		{role, "token_no_default_policy", "yes", "", "true", ""},
		{role, "alias_metadata", "team:a", "", "map[team:a]", ""},
		{role, "alias_metadata", `{"team":"a"}`, "", "map[team:a]", ""},
		{role, "selector", `serviceaccount.namespace in [apps]`, "", `serviceaccount.namespace == "apps"`, ""},

		{rule, "bind_name", "ns-{{serviceaccount.namespace}}", "", "ns-${serviceaccount.namespace}", ""},
		{rule, "bind_name", "$(serviceaccount.name)", "", "${serviceaccount.name}", ""},
		{rule, "bind_name", `"x"`, "", "x", ""},
		{rule, "bind_type", "Policy", `types are (\w+),`, "policy", ""},
		{rule, "use_service_name_annotation", "off", "", "false", ""},
		{rule, "selector", `serviceaccount.name = 'web'`, "", `serviceaccount.name == "web"`, ""},
		{rule, "selector", `serviceaccount.name startsWith "web"`, "", `serviceaccount.name matches "^web"`, ""},
		{rule, "selector", `'serviceaccount.name == "web"'`, "", `serviceaccount.name == "web"`, ""},
		{rule, "selector", "", "(?:selector=)?'?(\\*)'?", "*", ""},
	}
}

// TestWrongInputsShowTheRightForm: what cannot work as it was written is refused or warned
// of, with a form; whoever writes that form is told nothing more, and has what was meant.
func TestWrongInputsShowTheRightForm(t *testing.T) {
	if got := len(wrongInputs()); got < 30 {
		t.Errorf("only %d", got)
	}
	for _, row := range wrongInputs() {
		t.Run(fmt.Sprintf("%s %s %v", row.path, row.field, row.wrong), func(t *testing.T) {
			m := newMount(t)
			inSecret := base64.StdEncoding.EncodeToString
			files := fields{
				"@ca.crt": m.api.CAPEM, "@reviewer.jwt": m.api.Reviewer, "kubectl create token NAME -n NS": m.api.Reviewer,
				`kubectl config view --raw --minify --flatten -o jsonpath='{.clusters[0].cluster.certificate-authority-data}'`: inSecret([]byte(m.api.CAPEM)),
				`kubectl get secret NAME -n NS -o jsonpath='{.data.ca\.crt}'`:                                                  inSecret([]byte(m.api.CAPEM)),
				`kubectl get secret NAME -n NS -o jsonpath='{.data.token}'`:                                                    inSecret([]byte(m.api.Reviewer)),
			}
			base := map[string]fields{
				"config": m.config(nil), "role/x": m.role(nil),
				"binding-rule/x": {"selector": `serviceaccount.namespace == "apps"`, "bind_type": "policy", "bind_name": "x"},
			}[row.path]
			said := m.saidOf(row.path, row.field, merge(base, fields{row.field: row.wrong}))
			pattern := row.pattern
			if pattern == "" {
				pattern = wrote
			}
			found := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(said)
			if found == nil {
				t.Fatalf("no form in %q", said)
			}
			form := found[1]
			if content, isFile := files[form].(string); isFile {
				form = content
			}
			delete(base, row.field)
			delete(base, row.without)
			for field, value := range formOf(row.field, form) {
				base[field] = value
			}
			if said := m.saidOf(row.path, row.field, base); said != "" {
				t.Errorf("%q was followed, and the answer says %q", form, said)
			}
			read := m.read(row.path)
			want := row.want
			if content, isFile := files[want].(string); isFile {
				want = content
			}
			if row.field == "token_reviewer_jwt" {
				if read["token_reviewer_jwt_set"] != true {
					t.Error("there is no reviewer's token")
				}
			} else if got := fmt.Sprint(read[row.field]); got != want {
				t.Errorf("it reads %s, want %s", got, want)
			}
		})
	}
}

// TestWrongImportsShowTheRightForm is the same for what people send to be imported: whoever runs
// the command that the answer names, or sends the file, has it imported.
func TestWrongImportsShowTheRightForm(t *testing.T) {
	const (
		rule    = `{"ID":"a1","AuthMethod":"k8s","Selector":"serviceaccount.name==web","BindType":"service","BindName":"web"}`
		command = `write what this prints: (consul acl .+)$`
		file    = `=(@\S+) sends`
	)
	for _, row := range []struct {
		field, wrong, pattern string
	}{
		{"auth_method", "method.json", file},
		{"auth_method", "@method.json", file},
		{"auth_method", "k8s", command},
		{"auth_method", "Name:             k8s\nType:             kubernetes\nDescription:", command},
		{"auth_method", "[METHOD]", command},
		{"auth_method", "METHOD METHOD", command},
		{"auth_method", `{"Name":"k8s",`, command},
		{"binding_rules", "rules.json", file},
		{"binding_rules", "ID:           a1\nAuthMethod:   k8s", command},
		{"binding_rules", rule, command},
		{"binding_rules", "a1", command},
		{"tokens", "Vault", `or (vault)`},
		{"dry_run", "yes", `write (true)`},
		{"skip_unsupported_rules", "off", `write (false)`},
	} {
		t.Run(fmt.Sprint(row.field, " ", row.wrong), func(t *testing.T) {
			m := newMount(t)
			forms := map[string]string{
				"@method.json": m.consulMethod(), "@rules.json": "[" + rule + "]",
				"consul acl auth-method read -name=k8s -format=json":    m.consulMethod(),
				"consul acl auth-method read -name=NAME -format=json":   m.consulMethod(), // whose name nobody can tell
				"consul acl binding-rule list -method=k8s -format=json": "[" + rule + "]",
			}
			request := fields{"tokens": "vault", "auth_method": m.consulMethod(), "binding_rules": "[" + rule + "]"}
			request[row.field] = strings.ReplaceAll(row.wrong, "METHOD", m.consulMethod())
			o := m.do(logical.UpdateOperation, "import/consul", request)
			found := regexp.MustCompile("(?m)" + row.pattern).FindStringSubmatch(o.message)
			if o.status != http.StatusBadRequest || found == nil {
				t.Fatalf("%d %q", o.status, o.message)
			}
			form, known := forms[found[1]]
			if !known {
				form = found[1]
			}
			request[row.field] = form
			if o := m.do(logical.UpdateOperation, "import/consul", request); o.status != http.StatusOK || o.data["rules"] != 1 {
				t.Errorf("%q was followed: %d %s", found[1], o.status, o.message)
			}
		})
	}
}

// formOf takes a form apart where it names fields, as the command line does.
func formOf(field, form string) fields {
	words := strings.Fields(form)
	if len(words) == 0 || !regexp.MustCompile(`^[a-z_]+=`).MatchString(words[0]) || strings.HasPrefix(form, "team=") {
		return fields{field: form}
	}
	named := fields{}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		named[name] = strings.Trim(value, `"`)
	}
	return named
}

// saidOf is the refusal of a write, or what it warns of the field; empty if neither.
func (m *mount) saidOf(path, field string, data fields) string {
	m.t.Helper()
	m.do(logical.DeleteOperation, path, nil)
	o := m.do(logical.UpdateOperation, path, data)
	said := slices.DeleteFunc(o.warnings, func(line string) bool { return !strings.HasPrefix(line, field) })
	if o.message != "" {
		said = append(said, o.message)
	}
	return strings.Join(said, "\n")
}
