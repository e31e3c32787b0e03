package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

var (
	vaultCommand = regexp.MustCompile(`vault (?:write|patch) [^;]+`)
	tokenCommand = regexp.MustCompile(`kubectl create token (\S+) -n ([\w-]+)((?: --audience=\S+)?)`)
)

// doRemedy does what a remedy of explain says, and returns the token to log in with. What the
// remedy cannot know, and leaves to whoever reads it, is filled in.
func (m *mount) doRemedy(t *testing.T, remedy, jwt string) string {
	t.Helper()
	remedy = strings.NewReplacer("NAME ", "web ", "NAMESPACE ", "apps ", "-n NAMESPACE", "-n apps").Replace(remedy + " ")
	if command := vaultCommand.FindString(remedy); command != "" && !strings.Contains(command, "…") {
		m.runWrite(t, strings.TrimSpace(command))
		return jwt
	}
	said := tokenCommand.FindStringSubmatch(remedy)
	if said == nil {
		t.Fatalf("no command in %q", remedy)
	}
	audience := m.api.Issuer
	if _, named, ok := strings.Cut(said[3], "--audience="); ok {
		audience = named
	}
	return m.api.Token(said[2], said[1], kubetest.Audience(audience))
}

// Each remedy of explain that has a command is run: the login that was refused is allowed then.
func TestRemediesOfExplainAreRun(t *testing.T) {
	for name, row := range map[string]struct {
		config, role fields
		token        func(m *mount) string
		byRules      bool
	}{
		"another name":              {role: fields{"bound_service_account_names": "db"}},
		"another namespace":         {role: fields{"bound_service_account_namespaces": "shop"}},
		"other pairs":               {role: fields{"bound_service_account_names": nil, "bound_service_account_namespaces": nil, "bound_service_accounts": "shop/web"}},
		"no token at all":           {token: func(*mount) string { return "garbage" }},
		"expired":                   {token: func(m *mount) string { return m.token(kubetest.Expiry(time.Now().Add(-time.Hour))) }},
		"for another audience":      {token: func(m *mount) string { return m.token(kubetest.Audience("elsewhere")) }},
		"by rules, for another":     {byRules: true, token: func(m *mount) string { return m.token(kubetest.Audience("elsewhere")) }},
		"by rules, not for the API": {byRules: true, config: fields{"binding_rule_audiences": nil}},
		"of a pod that is gone": {token: func(m *mount) string {
			m.api.AddPod("apps", "web-1", "")
			s := m.token(m.api.BoundToPod("web-1"))
			m.api.DeletePod("apps", "web-1")
			return s
		}},
		"no service account's":           {token: func(m *mount) string { m.api.OnReview(setUsername("alice")); return m.token() }},
		"another issuer is asked for":    {config: fields{"disable_iss_validation": false, "issuer": "https://elsewhere"}},
		"the default issuer is enforced": {config: fields{"disable_iss_validation": false}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, row.role)
			m.rule("all", "*", "policy", "p")
			jwt, request := m.token(), fields{"role": "demo"}
			if row.token != nil {
				jwt = row.token(m)
			}
			if row.byRules {
				delete(request, "role")
			}
			request["jwt"] = jwt
			wantRefused(t, m.do(logical.UpdateOperation, "login", request), http.StatusForbidden)
			remedy := fmt.Sprint(m.do(logical.UpdateOperation, "explain", request).data["remedy"])
			m.api.OnReview(nil)
			request["jwt"] = m.doRemedy(t, remedy, jwt)
			if o := m.do(logical.UpdateOperation, "login", request); o.status != http.StatusOK {
				t.Errorf("%q was followed: %d %s; %v", remedy, o.status, o.message, m.logs.Take())
			}
		})
	}
}
