package e2e

import (
	"net/http"
	"slices"
	"testing"
)

// TestAudiencesOfRules logs in by rules with tokens for several audiences.
func TestAudiencesOfRules(t *testing.T) {
	t.Parallel()
	const ok, denied = http.StatusOK, http.StatusForbidden
	c := mainCluster(t)
	own, foreign := []string(nil), []string{"sts.amazonaws.com"}
	for name, row := range map[string]struct {
		config                  fields
		own, foreign, vault, of int // status of a token for the API server, for somebody else, for vault, and for both of these
	}{
		"none named":           {fields{"binding_rule_audiences": ""}, ok, denied, denied, denied},
		"vault":                {fields{"binding_rule_audiences": "vault"}, denied, denied, ok, ok},
		"vault, all required":  {fields{"binding_rule_audiences": "vault", "require_audience": true}, denied, denied, ok, ok},
		"none, all required":   {fields{"binding_rule_audiences": "", "require_audience": true}, ok, denied, denied, denied},
		"somebody else's":      {fields{"binding_rule_audiences": foreign}, denied, ok, denied, ok},
		"that of the role":     {fields{"binding_rule_audiences": "", "binding_rule_role": "gate"}, denied, denied, ok, ok},
		"cluster's keys known": {fields{"binding_rule_audiences": "", "verification": "keys_then_review"}, ok, denied, denied, denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newRuleMount(t, map[string][3]string{"all": {"", "policy", "all"}})
			a := c.newAccount(t, "", "web", nil)
			m.must(t, http.MethodPost, "role/gate", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": audience})
			m.must(t, http.MethodPatch, "config", row.config)
			for _, token := range []struct {
				audiences []string
				want      int
			}{{own, row.own}, {foreign, row.foreign}, {[]string{audience}, row.vault}, {[]string{audience, foreign[0]}, row.of}} {
				if got := m.login(t, fields{"jwt": c.newToken(t, a, token.audiences...)}); got.Status != token.want {
					t.Errorf("a token for %q: %v, want %d", token.audiences, got, token.want)
				}
			}
		})
	}
}

// newRuleRole is a mount whose logins by rules go through the role gate.
func newRuleRole(t *testing.T, gate fields) mount {
	t.Helper()
	m := newRuleMount(t, map[string][3]string{"all": {"", "policy", "all"}})
	m.must(t, http.MethodPost, "role/gate", with(fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": audience}, gate))
	m.must(t, http.MethodPatch, "config", fields{"binding_rule_role": "gate"})
	return m
}

// TestRuleRoleLimits has a client choose among its audiences: the settings of a role
// that a rule binds can be dropped so, those of the mount cannot.
func TestRuleRoleLimits(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	m := newRuleRole(t, fields{"token_ttl": 300, "token_num_uses": 3, "token_policies": "gate", "audience": "", "bound_audiences": "vault,other"})
	a := c.newAccount(t, "", "web", nil)
	m.must(t, http.MethodPatch, "config", fields{"binding_rule_audiences": "vault,other"})
	m.must(t, http.MethodPost, "role/strict", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": audience, "token_ttl": 60, "token_num_uses": 2})
	m.must(t, http.MethodPost, "binding-rule/strict", fields{"bind_type": "role", "bind_name": "strict"})
	for _, row := range []struct {
		audience  string
		ttl, uses float64
	}{{audience, 60, 2}, {"other", 300, 3}} {
		got := m.login(t, fields{"jwt": c.newToken(t, a, row.audience)}).auth()
		if got["lease_duration"] != row.ttl || got["num_uses"] != row.uses || !slices.Equal(stringsOf(got["token_policies"]), []string{"all", "default", "gate"}) {
			t.Errorf("for %s: %v", row.audience, compact(got))
		}
	}
	m.must(t, http.MethodPost, "role/gate", fields{"bound_service_account_names": "somebody"})
	if got := m.login(t, fields{"jwt": c.newToken(t, a, audience)}); got.Status != http.StatusForbidden {
		t.Errorf("past the bounds of the role: %v", got)
	}
	m.must(t, http.MethodDelete, "role/gate", nil)
	if got := m.login(t, fields{"jwt": c.newToken(t, a, audience)}); got.Status != http.StatusForbidden {
		t.Errorf("without the role: %v", got)
	}
}

// TestRuleRoleOfADisabledEntity disables the entity of an account, by the name that the
// role gives to aliases: the account does not log in by rules as another.
func TestRuleRoleOfADisabledEntity(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	m := newRuleRole(t, fields{"alias_name_source": "serviceaccount_name"})
	a := c.newAccount(t, "", "web", nil)
	jwt := c.newToken(t, a, audience)
	byRole, byRules := m.login(t, fields{"role": "gate", "jwt": jwt}).auth(), m.login(t, fields{"jwt": jwt}).auth()
	if byRole["entity_id"] != byRules["entity_id"] || byRole["entity_id"] == nil {
		t.Errorf("the entity by the role is %v, by rules %v", byRole["entity_id"], byRules["entity_id"])
	}
	entity := "identity/entity/id/" + byRole["entity_id"].(string)
	must(t, http.MethodPost, entity, fields{"disabled": true})
	if got := m.login(t, fields{"jwt": jwt}); got.Status != http.StatusForbidden {
		t.Errorf("a login by rules of a disabled entity: %v", got)
	}
	must(t, http.MethodPost, entity, fields{"disabled": false})
	if got := m.login(t, fields{"jwt": jwt}); got.Status != http.StatusOK {
		t.Errorf("a login by rules once the entity is not disabled any more: %v", got)
	}
}

// TestRuleRoleQuota limits the role that logins by rules go through.
func TestRuleRoleQuota(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	m := newRuleRole(t, nil)
	m.must(t, http.MethodPost, "role/lent", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*"})
	m.must(t, http.MethodPost, "binding-rule/lent", fields{"bind_type": "role", "bind_name": "lent"})
	m.must(t, http.MethodPatch, "config", fields{"binding_rule_role": "Gate"}) // the same role; a quota has the name as it is listed
	jwt := c.newToken(t, c.newAccount(t, "", "web", nil), audience)
	for role, second := range map[string]int{"lent": http.StatusOK, "gate": http.StatusTooManyRequests} {
		quota := "sys/quotas/rate-limit/" + m.path + role
		must(t, http.MethodPost, quota, fields{"path": "auth/" + m.path, "role": role, "rate": 1, "interval": "1h"})
		for i, want := range []int{http.StatusOK, second} {
			if got := m.login(t, fields{"jwt": jwt}); got.Status != want {
				t.Errorf("login %d with a quota of %s: %v, want %d", i, role, got, want)
			}
		}
		must(t, http.MethodDelete, quota, nil)
	}
}
