package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// newRuleRole is a mount whose logins by rules go through the role gate, which binds
// everybody, with changes to it, and whose one rule grants the policy base.
func newRuleRole(t *testing.T, gate fields) *mount {
	t.Helper()
	m := newMount(t)
	m.write("role/gate", merge(fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}, gate))
	m.write("config", m.config(fields{"binding_rule_role": "gate"}))
	m.rule("base", "", "policy", "base")
	return m
}

// The bounds of the role are a filter that no login by rules gets around.
func TestRuleRoleFilters(t *testing.T) {
	for name, row := range map[string]struct {
		gate fields
		step string // that refuses; "" if none does
	}{
		"everybody":         {nil, ""},
		"right name":        {fields{"bound_service_account_names": "web"}, ""},
		"wrong name":        {fields{"bound_service_account_names": "db"}, "binding rule role"},
		"wrong namespace":   {fields{"bound_service_account_namespaces": "other"}, "binding rule role"},
		"right selector":    {fields{"selector": `serviceaccount.name != "db"`}, ""},
		"wrong selector":    {fields{"selector": `serviceaccount.name != "web"`}, "binding rule role"},
		"right address":     {fields{"token_bound_cidrs": "192.0.2.0/24"}, ""},
		"wrong address":     {fields{"token_bound_cidrs": "10.0.0.0/8"}, "source address"},
		"right audience":    {fields{"audience": "vault"}, ""},
		"wrong audience":    {fields{"audience": "other"}, "unverified claims"},
		"labels, not found": {fields{"bound_service_account_namespaces": nil, "bound_service_account_namespace_selector": selectorOfCI}, "binding rule role"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRuleRole(t, row.gate)
			m.rule("gate", "", "role", "gate") // that a rule binds it as well widens nothing
			m.logs.Take()
			got := m.loginByRules(m.token())
			if row.step == "" {
				if got.auth == nil {
					t.Errorf("%d %s; logged: %v", got.status, got.message, m.logs.Take())
				}
			} else {
				wantRefused(t, got, http.StatusForbidden)
				if logged := m.logs.One(t); logged.Fields["step"] != row.step {
					t.Errorf("logged %s, want the step %q", logged, row.step)
				}
			}
			wantAgreement(t, m, fields{"jwt": m.token()})
		})
	}
}

// A client that asks for another audience drops a role that a rule binds, and never
// the settings of the mount.
func TestRuleRoleSettings(t *testing.T) {
	m := newRuleRole(t, fields{"token_ttl": "10m", "token_num_uses": 3, "token_policies": "gate", "token_no_default_policy": true, "token_bound_cidrs": "192.0.2.0/24"})
	m.write("config", m.config(fields{"binding_rule_role": "gate", "binding_rule_audiences": "vault,other"}))
	m.write("role/strict", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": "vault", "token_ttl": "1m"})
	m.rule("strict", "", "role", "strict")
	auth := m.mustLoginByRules(m.token())
	if auth.TTL != time.Minute || auth.NumUses != 3 || !auth.NoDefaultPolicy || len(auth.BoundCIDRs) != 1 || !slices.Equal(auth.Policies, []string{"base", "gate"}) {
		t.Errorf("with the role of the rule: %+v", auth)
	}
	other := m.token(kubetest.Audience("other"))
	auth = m.mustLoginByRules(other)
	if auth.TTL != 10*time.Minute || auth.NumUses != 3 || !auth.NoDefaultPolicy || len(auth.BoundCIDRs) != 1 {
		t.Errorf("without it: %+v", auth)
	}
	wantAgreement(t, m, fields{"jwt": other})
	m.write("role/gate", fields{"token_ttl": "5m"})
	if got := m.renew(auth); got.auth == nil || got.auth.TTL != 5*time.Minute {
		t.Errorf("renewed to %+v, %s", got.auth, got.message)
	}
}

// Its policies come with what rules grant, and are nothing that a login could have by
// themselves.
func TestRuleRoleIsNoGrant(t *testing.T) {
	m := newRuleRole(t, fields{"token_policies": "gate"})
	m.rule("base", `serviceaccount.name == "db"`, "policy", "base")
	wantRefused(t, m.loginByRules(m.token()), http.StatusForbidden)
	wantAgreement(t, m, fields{"jwt": m.token()})
}

// The mount chooses the alias of logins by rules: an entity that is disabled, or has
// policies, is the same whichever way its account logs in.
func TestRuleRoleNamesTheAlias(t *testing.T) {
	m := newRuleRole(t, fields{"alias_name_source": "serviceaccount_name", "audience": "vault", "alias_metadata": map[string]any{"team": "ops"}})
	byRole, byRules := m.login("gate", m.token()).auth, m.mustLoginByRules(m.token())
	if byRole.Alias.Name != "apps/web" || byRules.Alias.Name != "apps/web" || byRules.Alias.CustomMetadata["team"] != "ops" {
		t.Errorf("by role %+v, by rules %+v", byRole.Alias, byRules.Alias)
	}
	m.rule("group", "", "group", "team")
	if got := m.mustLoginByRules(m.token()).Alias; !strings.HasPrefix(got.Name, "apps/web:rules:") || got.CustomMetadata["team"] != "ops" {
		t.Errorf("with a group: %+v", got)
	}
	wantAgreement(t, m, fields{"jwt": m.token()})
}

func TestRuleRoleOnRenewal(t *testing.T) {
	for name, row := range map[string]struct {
		change func(m *mount)
		ok     bool
	}{
		"nothing changed": {func(*mount) {}, true},
		"not for it":      {func(m *mount) { m.write("role/gate", fields{"selector": `serviceaccount.name != "web"`}) }, false},
		"other addresses": {func(m *mount) { m.write("role/gate", fields{"token_bound_cidrs": "10.0.0.0/8"}) }, false},
		"its addresses":   {func(m *mount) { m.write("role/gate", fields{"token_bound_cidrs": "192.0.2.0/24"}) }, true},
		"other audience":  {func(m *mount) { m.write("role/gate", fields{"audience": "other"}) }, false},
		"its audience":    {func(m *mount) { m.write("role/gate", fields{"audience": "vault"}) }, true},
		"policies":        {func(m *mount) { m.write("role/gate", fields{"token_policies": "more"}) }, false},
		"role is gone":    {func(m *mount) { m.do(logical.DeleteOperation, "role/gate", nil) }, false},
		"no role any more": {func(m *mount) {
			m.do(logical.PatchOperation, "config", fields{"binding_rule_role": ""})
			m.do(logical.DeleteOperation, "role/gate", nil)
		}, true},
		"API server fails": {func(m *mount) {
			m.write("role/gate", fields{"selector": `serviceaccount.labels.x == "y"`})
			m.api.Fail(kubetest.Status(http.StatusInternalServerError))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRuleRole(t, nil)
			auth := m.mustLoginByRules(m.token())
			row.change(m)
			m.logs.Take()
			if got := m.renew(auth); (got.auth != nil) != row.ok {
				t.Errorf("renewed: %t, want %t; %d %s", got.auth != nil, row.ok, got.status, got.message)
			}
			if logged := fmt.Sprint(m.logs.Take()); name == "role is gone" && !strings.Contains(logged, `[warn]`) {
				t.Errorf("an operator has to learn of it, logged: %s", logged)
			}
		})
	}
}

// A role that is not there lets nobody pass, and the operator hears of it when the
// configuration is written, in check, and at logins.
func TestRuleRoleThatIsMissing(t *testing.T) {
	m := newRules(t, nil)
	m.rule("base", "", "policy", "base")
	warned := func(o outcome) bool {
		return len(o.warnings) == 1 && strings.Contains(o.warnings[0], `there is no role "gate"`)
	}
	if o := m.do(logical.PatchOperation, "config", fields{"binding_rule_role": "Gate"}); o.status != http.StatusOK || !strings.Contains(fmt.Sprint(o.warnings), `"Gate"`) {
		t.Errorf("%d %s, warnings %q", o.status, o.message, o.warnings)
	}
	if o := m.write("config", m.config(fields{"binding_rule_role": "gate"})); !warned(o) {
		t.Errorf("warnings %q", o.warnings)
	}
	m.logs.Take()
	wantRefused(t, m.loginByRules(m.token()), http.StatusForbidden)
	if logged := m.logs.One(t); logged.Fields["step"] != "configuration" || !strings.Contains(fmt.Sprint(logged), "[warn]") || logged.Fields["remedy"] == "" {
		t.Errorf("logged %s", logged)
	}
	if len(m.api.Requests()) > 0 {
		t.Error("the API server was asked about a login that could not succeed")
	}
	wantAgreement(t, m, fields{"jwt": m.token()})
	if got := fmt.Sprint(m.read("check")); !strings.Contains(got, `there is no role "gate"`) {
		t.Errorf("check says %s", got)
	}
	m.write("role/gate", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": "other"})
	if got := fmt.Sprint(m.read("check")); !strings.Contains(got, `binding_rule_audiences has none of the audiences ["other"]`) {
		t.Errorf("check says %s", got)
	}
	m.write("role/gate", fields{"audience": "vault"})
	m.mustLoginByRules(m.token())
	if o := m.write("config", m.config(fields{"binding_rule_role": "gate"})); len(o.warnings) != 1 || !strings.Contains(o.warnings[0], "can also be had by naming it") {
		t.Errorf("warnings %q of a role that can be named", o.warnings)
	}
	m.write("role/gate", fields{"only_by_binding_rules": true})
	if o := m.write("config", m.config(fields{"binding_rule_role": "gate"})); len(o.warnings) > 0 {
		t.Errorf("warnings %q of a role that is there", o.warnings)
	}
	m.InvalidateKey(t.Context(), "role/gate")
	m.storage.fail("role/gate")
	if got := m.loginByRules(m.token()); !errors.Is(got.err, errStorage) {
		t.Errorf("a storage that fails is %d %s", got.status, got.message)
	}
}

// Quotas on the role count logins by rules.
func TestRuleRoleResolves(t *testing.T) {
	m := newRuleRole(t, nil)
	m.write("config", m.config(fields{"binding_rule_role": "Gate"}))
	m.mustLoginByRules(m.token())
	m.storage.reads.Store(0)
	for want, data := range map[string]fields{"gate": {"jwt": "x"}, "other": {"role": "Other"}} {
		if o := m.do(logical.ResolveRoleOperation, "login", data); o.data["role"] != want {
			t.Errorf("%v resolves to %v, want %q", data, o.data, want)
		}
	}
	if got := m.storage.reads.Load(); got != 0 {
		t.Errorf("%d reads of storage", got)
	}
}

func TestConfigOfRules(t *testing.T) {
	m := newMount(t)
	for name, row := range map[string]struct {
		change fields
		says   string
	}{
		"audiences":          {fields{"binding_rule_audiences": "vault,https://x"}, ""},
		"empty audience":     {fields{"binding_rule_audiences": []string{"vault", ""}}, "binding_rule_audiences"},
		"blank audience":     {fields{"binding_rule_audiences": []string{" "}}, "binding_rule_audiences"},
		"long audience":      {fields{"binding_rule_audiences": strings.Repeat("a", 300)}, "binding_rule_audiences"},
		"many audiences":     {fields{"binding_rule_audiences": strings.Split(strings.Repeat("a", 40), "")}, "binding_rule_audiences"},
		"no name of a role":  {fields{"binding_rule_role": "a/b"}, "binding_rule_role"},
		"name out of a path": {fields{"binding_rule_role": "a..b"}, "binding_rule_role"},
	} {
		t.Run(name, func(t *testing.T) {
			got := m.do(logical.UpdateOperation, "config", m.config(row.change))
			if ok := got.status == http.StatusOK; ok != (row.says == "") || !strings.Contains(got.message, row.says) {
				t.Errorf("%d %s", got.status, got.message)
			}
		})
	}
}
