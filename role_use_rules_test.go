package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/role"
)

// newDoor is a mount with one rule for everybody, which grants the policy base, and the
// role door, under which rules decide.
func newDoor(t *testing.T, door fields) *mount {
	t.Helper()
	m := newMount(t)
	m.write("config", m.config(fields{"binding_rule_audiences": nil}))
	m.write("role/door", merge(fields{"use_binding_rules": true}, door))
	m.rule("base", "", "policy", "base")
	return m
}

// own is a token for the API server's own audience, as rules ask for unless told otherwise.
func (m *mount) own() string { return m.token(kubetest.Audience(m.api.Issuer)) }

// A login that names such a role is one by rules, within the bounds of the role.
func TestRoleThatUsesRulesFilters(t *testing.T) {
	for name, row := range map[string]struct {
		door fields
		step string // that refuses; "" if none does
	}{
		"no bounds":         {nil, ""},
		"right name":        {fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "*"}, ""},
		"wrong name":        {fields{"bound_service_account_names": "db", "bound_service_account_namespaces": "*"}, "binding rule role"},
		"wrong namespace":   {fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "other"}, "binding rule role"},
		"right pair":        {fields{"bound_service_accounts": "apps/web"}, ""},
		"wrong pair":        {fields{"bound_service_accounts": "apps/db"}, "binding rule role"},
		"right selector":    {fields{"selector": `serviceaccount.name != "db"`}, ""},
		"wrong selector":    {fields{"selector": `serviceaccount.name != "web"`}, "binding rule role"},
		"right address":     {fields{"token_bound_cidrs": "192.0.2.0/24"}, ""},
		"wrong address":     {fields{"token_bound_cidrs": "10.0.0.0/8"}, "source address"},
		"right audience":    {fields{"audience": "vault"}, ""},
		"wrong audience":    {fields{"audience": "other"}, "unverified claims"},
		"labels, not found": {fields{"bound_service_account_names": "*", "bound_service_account_namespace_selector": selectorOfCI}, "binding rule role"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDoor(t, row.door)
			jwt := m.own()
			if row.door["audience"] != nil {
				jwt = m.token()
			}
			m.logs.Take()
			got := m.login("Door", jwt)
			if row.step == "" {
				if got.auth == nil || !slices.Contains(got.auth.Policies, "base") || got.auth.Metadata["role"] != "Door" {
					t.Errorf("%d %s %+v; logged: %v", got.status, got.message, got.auth, m.logs.Take())
				}
			} else {
				wantRefused(t, got, http.StatusForbidden)
				if logged := m.logs.One(t); logged.Fields["step"] != row.step {
					t.Errorf("logged %s, want the step %q", logged, row.step)
				}
				wantRefused(t, m.lookahead("door", jwt), http.StatusForbidden)
			}
			wantAgreement(t, m, fields{"role": "door", "jwt": jwt})
		})
	}
}

// The audience that counts is the mount's, else the role's, else the API server's own;
// never any.
func TestAudiencesOfARoleThatUsesRules(t *testing.T) {
	for name, row := range map[string]struct {
		config, door fields
		own, vault   bool
	}{
		"none named":             {nil, nil, true, false},
		"the mount's":            {fields{"binding_rule_audiences": "vault"}, nil, false, true},
		"the role's":             {nil, fields{"audience": "vault"}, false, true},
		"another than the mount": {fields{"binding_rule_audiences": "other"}, fields{"audience": "vault"}, false, false},
		"required of roles":      {fields{"require_audience": true}, nil, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDoor(t, nil)
			m.do(logical.PatchOperation, "config", row.config)
			written := m.write("role/door", merge(fields{}, row.door))
			if excluded := name == "another than the mount"; excluded != strings.Contains(fmt.Sprint(written.warnings), "binding_rule_audiences has none of its audiences") ||
				excluded != strings.Contains(fmt.Sprint(m.read("check")), "binding_rule_audiences has none of its audiences") {
				t.Errorf("the write warns %q, check says %v", written.warnings, m.read("check"))
			}
			for jwt, want := range map[string]bool{m.own(): row.own, m.token(): row.vault} {
				if got := m.login("door", jwt); (got.auth != nil) != want {
					t.Errorf("%d %s, want %t", got.status, got.message, want)
				}
				wantAgreement(t, m, fields{"role": "door", "jwt": jwt})
			}
		})
	}
}

// Its settings count with those of roles that rules bind as the strictest, and its
// policies come with what rules grant, and are nothing by themselves.
func TestSettingsOfARoleThatUsesRules(t *testing.T) {
	m := newDoor(t, fields{"token_ttl": "10m", "token_num_uses": 3, "token_policies": "door", "token_no_default_policy": true})
	auth := m.login("door", m.own()).auth
	if auth.TTL != 10*time.Minute || auth.NumUses != 3 || !auth.NoDefaultPolicy || !slices.Equal(auth.Policies, []string{"base", "door"}) {
		t.Errorf("%+v", auth)
	}
	if got := m.mustLoginByRules(m.own()); got.TTL != 0 || !slices.Equal(got.Policies, []string{"base"}) {
		t.Errorf("a login that names no role: %+v", got)
	}
	m.write("role/lent", fields{"only_by_binding_rules": true, "token_ttl": "1m"})
	m.rule("lent", "", "role", "lent")
	if got := m.login("door", m.own()).auth; got.TTL != time.Minute {
		t.Errorf("with the role of a rule: %+v", got)
	}
	for _, rule := range []string{"base", "lent"} {
		m.do(logical.DeleteOperation, "binding-rule/"+rule, nil)
	}
	wantRefused(t, m.login("door", m.own()), http.StatusForbidden)
	wantAgreement(t, m, fields{"role": "door", "jwt": m.own()})
}

// Whoever names another role than the one that all logins by rules go through, goes
// through that one all the same.
func TestNoRoleLeadsAroundTheRuleRole(t *testing.T) {
	m := newDoor(t, fields{"token_policies": "door", "token_ttl": "1h"})
	m.write("role/gate", fields{"use_binding_rules": true, "token_ttl": "5m", "token_policies": "gate", "alias_name_source": "serviceaccount_name"})
	m.write("config", m.config(fields{"binding_rule_audiences": nil, "binding_rule_role": "gate"}))
	for role, want := range map[string][]string{"": {"base", "gate"}, "gate": {"base", "gate"}, "door": {"base", "door", "gate"}} {
		data := fields{"jwt": m.own()}
		if role != "" {
			data["role"] = role
		}
		got := m.do(logical.UpdateOperation, "login", data).auth
		if got == nil || got.TTL != 5*time.Minute || !slices.Equal(got.Policies, want) || got.Alias.Name != "apps/web" {
			t.Errorf("as %q: %+v", role, got)
		}
		wantAgreement(t, m, data)
	}
	m.write("role/gate", fields{"selector": `serviceaccount.name == "db"`})
	for _, role := range []string{"gate", "door"} {
		wantRefused(t, m.login(role, m.own()), http.StatusForbidden)
		if reason := m.explained(fields{"role": role, "jwt": m.own()})["reason"]; !strings.Contains(reason.(string), `"gate", which every login by rules goes through`) {
			t.Errorf("explained with %q", reason)
		}
	}
	m.do(logical.DeleteOperation, "role/gate", nil)
	wantRefused(t, m.login("door", m.own()), http.StatusForbidden)
}

// The alias is one of logins by rules, and never that of roles.
func TestAliasUnderARoleThatUsesRules(t *testing.T) {
	m := newDoor(t, nil)
	base := m.mustLoginByRules(m.own()).Alias.Name
	if got := m.login("door", m.own()).auth.Alias; got.Name != base || !strings.HasSuffix(base, ":rules") {
		t.Errorf("the alias is %q, and %q where no role is named", got.Name, base)
	}
	if got := m.lookahead("door", m.own()); got.auth == nil || got.auth.Alias.Name != base {
		t.Errorf("look-ahead says %+v", got.auth)
	}
	m.write("role/door", fields{"alias_metadata": map[string]any{"team": "ops"}})
	if got := m.login("door", m.own()).auth.Alias; got.Name == base || got.CustomMetadata["team"] != "ops" {
		t.Errorf("with custom metadata the alias is %+v", got)
	}
	m.write("role/door", fields{"alias_metadata": map[string]any{}, "alias_name_source": role.AliasNameSourceName})
	if got := m.login("door", m.own()).auth.Alias; got.Name != "apps/web"+":rules" {
		t.Errorf("by name the alias is %q", got.Name)
	}
}

func TestRenewalUnderARoleThatUsesRules(t *testing.T) {
	for name, row := range map[string]struct {
		change func(m *mount)
		says   string // of the refusal; "" if the token is renewed
	}{
		"nothing changed": {func(*mount) {}, ""},
		"not for it":      {func(m *mount) { m.write("role/door", fields{"selector": `serviceaccount.name != "web"`}) }, "no longer grant"},
		"its audience":    {func(m *mount) { m.write("role/door", fields{"audience": m.api.Issuer}) }, ""},
		"other audience":  {func(m *mount) { m.write("role/door", fields{"audience": "other"}) }, "no longer grant"},
		"other policies":  {func(m *mount) { m.write("role/door", fields{"token_policies": "more"}) }, "something else"},
		"a rule more":     {func(m *mount) { m.rule("more", "", "policy", "more") }, "something else"},
		"by itself": {func(m *mount) {
			m.write("role/door", fields{"use_binding_rules": false, "bound_service_account_names": "*", "bound_service_account_namespaces": "*"})
		}, "goes by binding rules no longer"},
		"gone":               {func(m *mount) { m.do(logical.DeleteOperation, "role/door", nil) }, "was deleted"},
		"account made anew":  {func(m *mount) { m.api.DeleteServiceAccount("apps", "web"); m.api.AddServiceAccount("apps", "web") }, "service account"},
		"API server is down": {func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDoor(t, fields{"token_ttl": "10m"})
			auth := m.login("door", m.own()).auth
			row.change(m)
			got := m.renew(auth)
			if row.says == "" {
				if got.auth == nil || name != "API server is down" && got.auth.TTL != 10*time.Minute {
					t.Errorf("%d %s %+v", got.status, got.message, got.auth)
				}
			} else if got.status != http.StatusBadRequest || !strings.Contains(got.message, row.says) {
				t.Errorf("%d %s, want a refusal that says %q", got.status, got.message, row.says)
			}
		})
	}
}

// Quotas of the role count logins that name it, in any letter case.
func TestRoleThatUsesRulesResolves(t *testing.T) {
	m := newDoor(t, nil)
	if o := m.do(logical.ResolveRoleOperation, "login", fields{"role": "DOOR", "jwt": "x"}); o.data["role"] != "door" {
		t.Errorf("resolves to %v", o.data)
	}
}

func TestWriteOfARoleThatUsesRules(t *testing.T) {
	m := newDoor(t, nil)
	if o := m.do(logical.UpdateOperation, "role/door", fields{"only_by_binding_rules": true}); o.status != http.StatusBadRequest || !strings.Contains(o.message, "only_by_binding_rules") {
		t.Errorf("both settings: %d %s", o.status, o.message)
	}
	if o := m.do(logical.UpdateOperation, "role/door", fields{"use_binding_rules": false}); o.status != http.StatusBadRequest {
		t.Errorf("without the setting it has no bounds, and is %d", o.status)
	}
	o := m.write("role/door", fields{"use_binding_rules": false, "bound_service_account_names": "*", "bound_service_account_namespaces": "*"})
	if !strings.Contains(fmt.Sprint(o.warnings), "use_binding_rules is off now") {
		t.Errorf("the write warns %q", o.warnings)
	}
}

// Vault's own method must not give a role of which it knows but half: it reads bounds that
// nobody is in. What it wrote, or an earlier version of this plugin, is read as it is.
func TestRolesThatVaultsMethodGivesToNobody(t *testing.T) {
	bounds := fields{"bound_service_account_names": []string{"web"}, "bound_service_account_namespaces": []string{"apps"}}
	for name, row := range map[string]struct {
		write fields
		held  bool
	}{
		"decides by itself":     {bounds, false},
		"uses rules":            {merge(fields{"use_binding_rules": true}, bounds), true},
		"uses rules, no bounds": {fields{"use_binding_rules": true}, true},
		"only by rules":         {merge(fields{"only_by_binding_rules": true}, bounds), true},
		"pairs alone":           {fields{"bound_service_accounts": "apps/web"}, true},
		"labels": {fields{"use_binding_rules": true, "bound_service_account_names": "web",
			"bound_service_account_namespace_selector": `{"matchLabels":{"a":"b"}}`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("role/r", row.write)
			var vaults struct {
				Names      []string `json:"bound_service_account_names"`
				Namespaces []string `json:"bound_service_account_namespaces"`
				Selector   string   `json:"bound_service_account_namespace_selector"`
			}
			if err := json.Unmarshal([]byte(m.storage.text(t, "role/r")), &vaults); err != nil {
				t.Fatal(err)
			}
			nobody := []string{role.Nobody}
			if held := slices.Equal(vaults.Names, nobody) && slices.Equal(vaults.Namespaces, nobody) && vaults.Selector == ""; held != row.held {
				t.Errorf("Vault's own method reads %+v", vaults)
			}
			read := m.read("role/r")
			for _, field := range []string{"bound_service_account_names", "bound_service_account_namespaces"} {
				want, _ := row.write[field].([]string)
				if text, ok := row.write[field].(string); ok {
					want = []string{text}
				}
				if got, _ := read[field].([]string); !slices.Equal(got, want) {
					t.Errorf("%s is read as %q, written was %q", field, got, want)
				}
			}
		})
	}
}

// An audit finds what such a role adds to what rules grant.
func TestAccessByARoleThatUsesRules(t *testing.T) {
	for name, row := range map[string]struct {
		door fields
		web  bool // whether the account may use it
	}{
		"no bounds":    {nil, true},
		"its bounds":   {fields{"bound_service_accounts": "apps/web"}, true},
		"other bounds": {fields{"bound_service_accounts": "apps/db"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDoor(t, merge(fields{"token_policies": "door"}, row.door))
			if got := fmt.Sprint(m.read("access/policy/door")); !strings.Contains(got, "whoever names it and is granted something by binding rules") {
				t.Errorf("the policy can be had by %s", got)
			}
			got := fmt.Sprint(m.read("access/service-account/apps/web"))
			if strings.Contains(got, "policies door, if binding rules grant it something") != row.web {
				t.Errorf("the account could use %s", got)
			}
		})
	}
}
