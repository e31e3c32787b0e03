package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
)

// What only rules hand out, nobody gets by naming it.
func TestRoleThatOnlyRulesGive(t *testing.T) {
	m := newRules(t, nil)
	m.write("role/lent", fields{"only_by_binding_rules": true, "token_policies": "lent", "token_ttl": "5m"})
	if m.read("role/lent")["only_by_binding_rules"] != true {
		t.Errorf("read %v", m.read("role/lent"))
	}
	for _, role := range []string{"lent", "LENT"} {
		wantRefused(t, m.login(role, m.token()), http.StatusForbidden)
		if got := m.logs.One(t); got.Level != hclog.Debug || !strings.Contains(got.Fields["reason"], "only_by_binding_rules") {
			t.Errorf("logged %s", got)
		}
		wantRefused(t, m.lookahead(role, m.token()), http.StatusForbidden)
		m.logs.Take()
	}
	got := m.explained(fields{"role": "lent", "jwt": m.token()})
	wantFields(t, got, fields{"verdict": "denied", "failed_step": "service account name"})
	if reason := got["reason"].(string); !strings.Contains(reason, "only_by_binding_rules") {
		t.Errorf("explained with %q", reason)
	}
	if remedy := got["remedy"].(string); !strings.Contains(remedy, "without naming a role") {
		t.Errorf("the remedy is %q", remedy)
	}
	wantAgreement(t, m, fields{"role": "lent", "jwt": m.token()})

	m.rule("mine", `serviceaccount.namespace == "apps"`, "role", "lent")
	auth := m.mustLoginByRules(m.token())
	if !slices.Equal(auth.Policies, []string{"lent"}) || auth.TTL.Minutes() != 5 {
		t.Errorf("policies %q, TTL %s", auth.Policies, auth.TTL)
	}
	wantRefused(t, m.login("lent", m.token()), http.StatusForbidden)
	if renewed := m.renew(auth); renewed.status != http.StatusOK {
		t.Errorf("renewal: %d %s", renewed.status, renewed.message)
	}
	m.api.AddServiceAccount("other", "web")
	wantRefused(t, m.loginByRules(m.api.Token("other", "web")), http.StatusForbidden)
	wantCheck(t, m.checked(), "configuration", "pass")
}

func TestBoundsOfARoleThatOnlyRulesGive(t *testing.T) {
	only := fields{"only_by_binding_rules": true, "token_policies": "lent"}
	for name, row := range map[string]struct {
		role  fields
		wrong string // of the write
		lent  bool
	}{
		"none":                          {fields{}, "", true},
		"pairs that hold":               {fields{"bound_service_accounts": "apps/web"}, "", true},
		"pairs that do not":             {fields{"bound_service_accounts": "apps/db"}, "", false},
		"lists that do not":             {fields{"bound_service_account_names": "db", "bound_service_account_namespaces": "*"}, "", false},
		"lists that hold":               {fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "apps"}, "", true},
		"names without namespaces":      {fields{"bound_service_account_names": "web"}, "bound_service_account_namespaces", false},
		"namespaces without names":      {fields{"bound_service_account_namespaces": "apps"}, "bound_service_account_names", false},
		"a selector that does not hold": {fields{"selector": `serviceaccount.name == "db"`}, "", false},
		"an audience that is another":   {fields{"audience": "other"}, "", false},
		"no bounds without the flag":    {fields{"only_by_binding_rules": false}, "bound_service_account_names", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRules(t, nil)
			m.rule("base", "", "policy", "base")
			m.rule("lend", "", "role", "lent")
			role := fields{}
			for _, part := range []fields{only, row.role} {
				role = merge(role, part)
			}
			written := m.do(logical.UpdateOperation, "role/lent", role)
			if row.wrong != "" {
				if written.status != http.StatusBadRequest || !strings.Contains(written.message, row.wrong) {
					t.Errorf("%d %s", written.status, written.message)
				}
				return
			}
			if got := slices.Contains(m.mustLoginByRules(m.token()).Policies, "lent"); got != row.lent {
				t.Errorf("lent: %t, want %t", got, row.lent)
			}
		})
	}
	m := newRules(t, nil)
	m.write("role/lent", only)
	if got := m.do(logical.UpdateOperation, "role/lent", fields{"only_by_binding_rules": false}); got.status != http.StatusBadRequest {
		t.Errorf("taking away the flag leaves a role without bounds: %d", got.status)
	}
}
