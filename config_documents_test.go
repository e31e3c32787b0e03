package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// A name in the place of a token, as manuals have it, is stored, since a static token may be
// any text; the answer says what it looks like.
func TestReviewerThatIsAName(t *testing.T) {
	m := newMount(t)
	for text, warns := range map[string]bool{
		"reviewer_service_account_jwt": true, "your-token": true, "TOKEN_REVIEWER_JWT": true,
		m.api.Reviewer: false, "token-x7k2p:9fj2kd8s": false, "hunter2": false, "secret": false,
	} {
		o := m.do(logical.UpdateOperation, "config", m.config(fields{"token_reviewer_jwt": text}))
		if o.status >= http.StatusBadRequest || strings.Contains(strings.Join(o.warnings, "\n"), "looks like a name") != warns {
			t.Errorf("%.30q: %d %s, warnings %q, want one: %t", text, o.status, o.message, o.warnings, warns)
		}
	}
}

// What is said of a document names it, and a field that is not there names the one that
// was meant.
func TestDocumentsInPlaceOfAPart(t *testing.T) {
	m := newMount(t)
	for _, row := range []struct {
		field, text string
		said        []string
	}{
		{"kubernetes_ca_cert", "error: You must be logged in to the server (Unauthorized)", []string{"what a command said that failed"}},
		{"kubernetes_client_cert", "kind: Config\nusers: []\n", []string{"a kubeconfig as a whole", "user.client-certificate-data"}},
		{"kubernetes_client_key", "kind: Config\nusers: []\n", []string{"a kubeconfig as a whole", "user.client-key-data"}},
		{"pem_keys", "kind: Config\nusers: []\n", []string{"a kubeconfig as a whole"}},
	} {
		o := m.do(logical.UpdateOperation, "config", m.config(fields{row.field: row.text}))
		for _, said := range row.said {
			if o.status != http.StatusBadRequest || !strings.Contains(o.message, said) {
				t.Errorf("%s: %d %s, want %q", row.field, o.status, o.message, said)
			}
		}
	}
	o := m.do(logical.UpdateOperation, "config", fields{"host": "https://10.0.0.1:6443", "CACert": m.api.CAPEM, "nonsense": 1, "rubbish": 2})
	for _, said := range []string{`"host"; did you mean "kubernetes_host"?`, `"CACert"; did you mean "kubernetes_ca_cert"?`} {
		if !strings.Contains(o.message, said) {
			t.Errorf("%d %s, want %q", o.status, o.message, said)
		}
	}
	if strings.Count(o.message, "the fields are") != 1 {
		t.Errorf("the fields are listed more than once: %s", o.message)
	}
}

// Service accounts are taken in every form that Kubernetes writes them in, and what an
// account cannot be is said.
func TestServiceAccountsAsKubernetesWritesThem(t *testing.T) {
	m := newDemo(t, nil, fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "apps"})
	for _, account := range []string{"apps/web", "apps:web", "system:serviceaccount:apps:web"} {
		if got := m.read("access/service-account/" + account); got["role/demo"] == nil {
			t.Errorf("%s: %v", account, got)
		}
	}
	for _, account := range []string{"web", "apps/Web", "apps/web/x"} {
		if o := m.do(logical.ReadOperation, "access/service-account/"+account, nil); o.status != http.StatusBadRequest || !strings.Contains(o.message, "lower-case letters") {
			t.Errorf("%s: %d %s", account, o.status, o.message)
		}
	}
	for _, row := range []struct{ field, value, said string }{
		{"audiences", `["vault"]`, "audiences: "},
		{"pod", "apps/web-0", "pod: it has to be the name alone, such as web-0"},
		{"labels", `{"app":"web"}`, "labels: "},
	} {
		o := m.do(logical.UpdateOperation, "explain", fields{"role": "demo", "service_account": "apps/web", row.field: row.value})
		if o.status != http.StatusBadRequest || !strings.Contains(o.message, row.said) {
			t.Errorf("%s=%s: %d %s", row.field, row.value, o.status, o.message)
		}
	}
}

// A token with something around it is refused with what that is, in explain and in the log.
func TestTokenWithSomethingAround(t *testing.T) {
	m := newDemo(t, nil, nil)
	jwt := m.token()
	for text, reason := range map[string]string{
		"Bearer " + jwt: "it begins with Bearer", `"` + jwt + `"`: "it has quotes around it", `{"token":"` + jwt + `"}`: "it is JSON",
	} {
		if got := m.explain(fields{"role": "demo", "jwt": text}).data; !strings.Contains(got["reason"].(string), reason) {
			t.Errorf("explained as %v, want %q", got["reason"], reason)
		}
	}
}

func TestImportOfAnotherType(t *testing.T) {
	m := newMount(t)
	o := m.do(logical.UpdateOperation, "import/consul", fields{
		"auth_method": `{"Name":"x","Type":"jwt","Config":{"JWTValidationPubKeys":["x"]}}`, "binding_rules": "[]",
	})
	if o.status != http.StatusBadRequest || !strings.Contains(o.message, `its type is "jwt", only kubernetes`) {
		t.Errorf("%d %s", o.status, o.message)
	}
}
