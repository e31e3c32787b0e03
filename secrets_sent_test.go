package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// The password of a proxy is never returned, and what is read can be written back.
func TestProxyPasswordIsNeverReturned(t *testing.T) {
	for stored, shown := range map[string]string{
		"http://me:hunter2@proxy:3128":     "http://me:xxxxx@proxy:3128",
		"https://a-key-as-user@proxy:3128": "https://xxxxx@proxy:3128",
		"socks5://key:@10.0.0.1:1080":      "socks5://xxxxx@10.0.0.1:1080",
		"http://proxy:3128":                "http://proxy:3128",
	} {
		m := newMount(t)
		m.write("config", m.config(fields{"proxy_url": stored}))
		got := m.read("config")
		if got["proxy_url"] != shown {
			t.Errorf("%s is read as %v, want %s", stored, got["proxy_url"], shown)
		}
		imported := m.do(logical.UpdateOperation, "import/consul", fields{"tokens": "vault", "auth_method": m.consulMethod(), "binding_rules": "[]", "dry_run": true})
		if imported.data["config/proxy_url"] != shown {
			t.Errorf("%s is in the answer of an import as %v", stored, imported.data["config/proxy_url"])
		}
		back := m.config(fields{"proxy_url": got["proxy_url"], "issuer": "x"})
		m.write("config", back)
		if o := m.do(logical.PatchOperation, "config", fields{"proxy_url": shown}); o.status != http.StatusOK {
			t.Errorf("a patch with %s: %d %s", shown, o.status, o.message)
		}
		if text := m.storage.text(t, "config"); !strings.Contains(text, `"proxy_url":"`+stored+`"`) {
			t.Errorf("after %s was written back, what is stored is %s", shown, text)
		}
	}
}

// What was read and then changed would send the password elsewhere, or xxxxx as one.
func TestHiddenProxyPasswordIsNotTakenElsewhere(t *testing.T) {
	m := newMount(t)
	refused := func(url string) {
		t.Helper()
		for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
			o := m.do(operation, "config", m.config(fields{"proxy_url": url}))
			if o.status != http.StatusBadRequest && o.status != http.StatusNotFound || o.status == http.StatusBadRequest && !strings.Contains(o.message, "xxxxx stands for") {
				t.Errorf("%s of %s: %d %s", operation, url, o.status, o.message)
			}
		}
	}
	refused("http://me:xxxxx@proxy:3128")
	m.write("config", m.config(fields{"proxy_url": "http://me:hunter2@proxy:3128"}))
	refused("http://me:xxxxx@elsewhere:3128")
	refused("http://other:xxxxx@proxy:3128")
	refused("https://me:xxxxx@proxy:3128")
	m.write("config", m.config(fields{"proxy_url": "http://me:other@elsewhere:3128"}))
	m.write("config", m.config(fields{"proxy_url": ""}))
	if got := m.read("config")["proxy_url"]; got != "" {
		t.Errorf("named and empty it is still %v", got)
	}
}

// Over HTTP the two documents may be sent as the JSON that they are.
func TestImportTakesObjects(t *testing.T) {
	m := newMount(t)
	method := fields{
		"Name": "k8s", "Type": "kubernetes", "MaxTokenTTL": "1h",
		"Config": fields{"Host": m.api.URL, "CACert": m.api.CAPEM, "ServiceAccountJWT": m.api.Reviewer},
	}
	rules := []any{fields{"ID": "A1", "AuthMethod": "k8s", "Selector": "serviceaccount.name==web", "BindType": "policy", "BindName": "base"}}
	asText := m.do(logical.UpdateOperation, "import/consul", fields{
		"tokens": "vault", "auth_method": m.consulMethod(), "binding_rules": "[" + consulRule("A1", "serviceaccount.name==web", "policy", "base") + "]", "dry_run": true,
	})
	o := m.do(logical.UpdateOperation, "import/consul", fields{"tokens": "vault", "auth_method": method, "binding_rules": rules, "dry_run": true})
	if o.status != http.StatusOK || fmt.Sprint(o.data) != fmt.Sprint(asText.data) {
		t.Errorf("%d %s: %v, as text %v", o.status, o.message, o.data, asText.data)
	}
	m.do(logical.UpdateOperation, "import/consul", fields{"tokens": "vault", "auth_method": method, "binding_rules": rules})
	m.mustLoginByRules(m.api.Token("apps", "web"))
}

// A certificate that no CA of the mount vouches for can have any name, and to ask for it
// is to trust whoever made it.
func TestCheckOffersNoNameOfAStranger(t *testing.T) {
	stranger := kubetest.StartWith(t, kubetest.Options{Names: []string{"stranger.test"}})
	known := kubetest.StartWith(t, kubetest.Options{Names: []string{"*.kube.test", "kube.test"}})
	m := newMount(t)
	m.write("config", m.config(fields{"kubernetes_host": stranger.URL}))
	data := m.checked()
	wantCheck(t, data, "tls", "fail", "wrong server name", "nobody vouches for", "take none of them over")
	if remedy := fmt.Sprint(data["tls_remedy"]); strings.Contains(remedy, "stranger.test") || strings.Contains(remedy, "tls_server_name") {
		t.Errorf("the remedy trusts a stranger: %s", remedy)
	}
	m.write("config", m.config(fields{"kubernetes_host": known.URL, "kubernetes_ca_cert": known.CAPEM}))
	wantCheck(t, m.checked(), "tls", "fail", "wrong server name", "tls_server_name=kube.test # or use")
}

// Over plain HTTP whoever answers chooses what the answer says: none of it is for a shell.
func TestCheckPastesNothingOfAStranger(t *testing.T) {
	m := newDemo(t, fields{"kubernetes_host": plainFront(t), "issuer": "https://mine", "disable_iss_validation": false}, nil)
	for key, value := range m.checked() {
		if strings.HasSuffix(key, "_remedy") && (strings.Contains(fmt.Sprint(value), "stranger") || strings.Contains(fmt.Sprint(value), "evil")) {
			t.Errorf("%s is to be pasted: %v", key, value)
		}
	}
}

// plainFront answers as a Kubernetes API of its own invention does.
func plainFront(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]string{
			"/version":                          `{"gitVersion":"v1.36.3"}`,
			"/.well-known/openid-configuration": `{"issuer":"https://evil"}`,
			"/apis/authentication.k8s.io/v1/selfsubjectreviews": `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1",` +
				`"status":{"userInfo":{"username":"system:serviceaccount:evil:stranger"}}}`,
		}[r.URL.Path]
		if answer == "" {
			w.WriteHeader(http.StatusForbidden)
			answer = `{"kind":"Status","apiVersion":"v1","status":"Failure","code":403,"reason":"Forbidden"}`
		} else if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
