package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// For whom a token was made decides whether it is good for logins by rules, and it is
// the mount that says for whom.
func TestAudiencesOfRules(t *testing.T) {
	own := func(m *mount) []string { return []string{m.api.Issuer} }
	to := func(audiences ...string) func(*mount) []string { return func(*mount) []string { return audiences } }
	for name, row := range map[string]struct {
		config fields
		gate   string // audience of the role that logins go through; "-" if there is none
		token  func(*mount) []string
		step   string // that refuses; "" if none does
	}{
		"the API server's own":                    {fields{"binding_rule_audiences": nil}, "-", own, ""},
		"another's":                               {fields{"binding_rule_audiences": nil}, "-", to("sts.amazonaws.com"), "token review"},
		"vault, which nobody named":               {fields{"binding_rule_audiences": nil}, "-", to("vault"), "token review"},
		"vault":                                   {nil, "-", to("vault"), ""},
		"vault among others":                      {nil, "-", to("sts.amazonaws.com", "vault"), ""},
		"the API server's, vault named":           {nil, "-", own, "unverified claims"},
		"vault, audiences required":               {fields{"require_audience": true}, "-", to("vault"), ""},
		"the API server's own, required":          {fields{"require_audience": true, "binding_rule_audiences": nil}, "-", own, ""},
		"another's, required":                     {fields{"require_audience": true, "binding_rule_audiences": nil}, "-", to("x"), "token review"},
		"that of the role":                        {fields{"binding_rule_audiences": nil}, "gate", to("gate"), ""},
		"another than the role's":                 {fields{"binding_rule_audiences": nil}, "gate", to("vault"), "unverified claims"},
		"the mount's and not the role's":          {fields{"binding_rule_audiences": "vault,gate"}, "gate", to("vault"), "unverified claims"},
		"the mount's and the role's":              {fields{"binding_rule_audiences": "vault,gate"}, "gate", to("gate"), ""},
		"role without one, audiences required":    {fields{"require_audience": true}, "", to("vault"), ""},
		"reviews itself, API server's own":        {fields{"token_reviewer_jwt": nil, "binding_rule_audiences": nil}, "-", own, ""},
		"reviews itself, vault alone":             {fields{"token_reviewer_jwt": nil}, "-", to("vault"), "token review"},
		"reviews itself, vault and API server":    {fields{"token_reviewer_jwt": nil}, "-", func(m *mount) []string { return []string{"vault", m.api.Issuer} }, ""},
		"the signature is checked here, foreign":  {fields{"binding_rule_audiences": nil, "verification": "keys_then_review"}, "-", to("sts.amazonaws.com"), "token review"},
		"reviews are remembered, foreign by then": {fields{"binding_rule_audiences": nil, "token_review_cache_ttl": 30}, "-", to("vault"), "token review"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, nil)
			m.api.Grant("apps", "web", kubetest.TokenReviews)
			m.rule("base", "", "policy", "base")
			if row.gate != "-" {
				m.stored("role/gate", fmt.Sprintf(`{"bound_service_account_names":["*"],"bound_service_account_namespaces":["*"],"audience":%q}`, row.gate))
				m.do(logical.PatchOperation, "config", fields{"binding_rule_role": "gate"})
			}
			jwt := m.token(kubetest.Audience(row.token(m)...))
			m.login("demo", jwt) // a role that takes it must not make it good for rules
			m.logs.Take()
			got := m.loginByRules(jwt)
			if row.step == "" {
				if got.auth == nil {
					t.Errorf("%d %s; logged: %v", got.status, got.message, m.logs.Take())
				}
			} else {
				wantRefused(t, got, http.StatusForbidden)
				if logged := m.logs.One(t); logged.Fields["step"] != row.step || strings.Contains(logged.String(), "[warn]") {
					t.Errorf("logged %s, want the step %q", logged, row.step)
				}
			}
			wantAgreement(t, m, fields{"jwt": jwt})
		})
	}
}

// Explain says which audience is asked for, and how to get there.
func TestExplainAudiencesOfRules(t *testing.T) {
	m := newRules(t, nil)
	m.rule("base", "", "policy", "base")
	got := m.explained(fields{"jwt": m.token(kubetest.Audience("sts.amazonaws.com"))})
	wantFields(t, got, fields{
		"verdict": "denied", "failed_step": "unverified claims",
		"reason": `the token's audiences are ["sts.amazonaws.com"], and binding_rule_audiences asks for one of ["vault"]`,
	})
	if remedy := fmt.Sprint(got["remedy"]); !strings.Contains(remedy, "kubectl create token NAME -n NAMESPACE --audience=vault") {
		t.Errorf("remedy %q", remedy)
	}
	m.write("config", m.config(fields{"binding_rule_audiences": ""}))
	got = m.explained(fields{"jwt": m.token()})
	wantFields(t, got, fields{"verdict": "denied", "failed_step": "token review"})
	if text := fmt.Sprint(got["reason"], got["remedy"]); !strings.Contains(text, `"vault"`) || !strings.Contains(text, m.api.Issuer) ||
		!strings.Contains(text, "vault patch auth/test/config binding_rule_audiences=") {
		t.Errorf("%s", text)
	}
}

// An import lets in by its rules whom Consul lets in, and nobody else; what the mount
// asks for besides stays, and the answer says so.
func TestImportKeepsWhoMayLogIn(t *testing.T) {
	m := newMount(t)
	m.importConsul(false, consulRule("a1", "", "policy", "base"))
	own, foreign := m.api.Token("apps", "web"), m.token(kubetest.Audience("sts.amazonaws.com"))
	m.mustLoginByRules(own)
	wantRefused(t, m.loginByRules(foreign), http.StatusForbidden)
	m.write("role/gate", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*"})
	m.do(logical.PatchOperation, "config", fields{"binding_rule_audiences": "vault", "binding_rule_role": "gate"})
	again := fmt.Sprint(m.importConsul(false, consulRule("a1", "", "policy", "base")).data)
	for _, want := range []string{`binding_rule_audiences asks for one of ["vault"], and stays`, `all go through binding_rule_role "gate"`} {
		if !strings.Contains(again, want) {
			t.Errorf("importing again says %s, want %q", again, want)
		}
	}
	wantRefused(t, m.loginByRules(own), http.StatusForbidden)
	m.mustLoginByRules(m.token())
}
