package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// An empty disable_iss_validation says nothing of issuers, and must not lock anybody out;
// a plain false checks them, and stays.
func TestEmptyValueChecksNoIssuer(t *testing.T) {
	for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
		m := newDemo(t, nil, nil)
		write := func(change fields) {
			t.Helper()
			if o := m.do(operation, "config", m.writes(change)[operation]); o.status != http.StatusOK {
				t.Fatalf("%s %v: %d %s", operation, change, o.status, o.message)
			}
		}
		write(fields{"disable_iss_validation": ""})
		m.mustLogin(m.token())
		if got := m.read("config")["disable_iss_validation"]; got != false {
			t.Errorf("%s: it reads %v, and Vault's own method reads false", operation, got)
		}
		write(fields{"disable_iss_validation": true})
		write(fields{"disable_iss_validation": false})
		write(fields{"disable_iss_validation": ""})
		if o := m.login("demo", m.token()); o.status != http.StatusForbidden {
			t.Errorf("%s: an empty value after a plain false switched the check off: %d", operation, o.status)
		}
	}
	m := newDemo(t, fields{"disable_iss_validation": ""}, nil)
	m.mustLogin(m.token())
}

// That clients can have the role of logins by rules is said by the writes that make it so.
func TestRuleRoleThatCanBeNamed(t *testing.T) {
	const said = "can also be had by naming it"
	m := newMount(t)
	tells := func(o outcome) bool { return strings.Contains(strings.Join(o.warnings, "\n"), said) }
	m.write("role/gate", m.role(nil))
	for what, row := range map[string]struct {
		change fields
		want   bool
	}{
		"named":                     {fields{"binding_rule_role": "gate"}, true},
		"another field":             {fields{"cluster_name": "east"}, false},
		"audiences":                 {fields{"binding_rule_audiences": "vault"}, false},
		"a field, and it once more": {fields{"cluster_name": "west", "binding_rule_role": "GATE"}, true},
	} {
		for operation, data := range m.writes(row.change) {
			m.write("config", m.config(fields{"binding_rule_role": "gate"}))
			if o := m.do(operation, "config", data); o.status != http.StatusOK || tells(o) != row.want {
				t.Errorf("%s, %s: %d %q", what, operation, o.status, o.warnings)
			}
		}
	}
	if o := m.write("role/gate", fields{"token_ttl": 60}); tells(o) {
		t.Errorf("a write of the role that changes nothing of it: %q", o.warnings)
	}
	m.do(logical.DeleteOperation, "role/gate", nil)
	if o := m.do(logical.CreateOperation, "role/gate", m.role(nil)); !tells(o) {
		t.Errorf("the role written anew: %q", o.warnings)
	}
	m.do(logical.DeleteOperation, "role/gate", nil)
	if o := m.do(logical.CreateOperation, "role/gate", fields{"only_by_binding_rules": true}); tells(o) {
		t.Errorf("one that only rules give: %q", o.warnings)
	}
	if o := m.do(logical.CreateOperation, "role/other", m.role(nil)); tells(o) {
		t.Errorf("another role: %q", o.warnings)
	}
}

// Numbers of a role are kept as Vault keeps them, and the answer says where that is another.
func TestNumbersOfRoles(t *testing.T) {
	m := newMount(t)
	for _, row := range []struct {
		change fields
		want   string // empty for no warning
	}{
		{fields{"token_ttl": "500ms"}, "token_ttl: 500ms was read as 0s; whole seconds are kept, and none means the mount's default."},
		{fields{"ttl": "500ms"}, "ttl: 500ms was read as 0s"},
		{fields{"token_max_ttl": "1500ms"}, "token_max_ttl: 1500ms was read as 1s; whole seconds are kept."},
		{fields{"max_ttl": "999ms"}, "max_ttl: 999ms was read as 0s"},
		{fields{"token_explicit_max_ttl": "1ns"}, "token_explicit_max_ttl: 1ns was read as 0s; whole seconds are kept, and none means no limit."},
		{fields{"token_period": "0.2s"}, "token_period: 0.2s was read as 0s"},
		{fields{"period": "0.2s"}, "period: 0.2s was read as 0s"},
		{fields{"token_num_uses": "010"}, "token_num_uses: 010 was read as 8."},
		{fields{"token_num_uses": "0x10"}, ""},
		{fields{"token_num_uses": true}, "token_num_uses: what was sent was read as 1."},
		{fields{"token_ttl": "1d"}, ""},
		{fields{"token_ttl": "90s", "token_max_ttl": json.Number("100"), "token_num_uses": "3"}, ""},
		{fields{"token_ttl": "", "token_num_uses": nil}, ""},
	} {
		o := m.write("role/r", m.role(row.change))
		if row.want == "" && o.warnings != nil || row.want != "" && (len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], row.want)) {
			t.Errorf("%v: %q, want %q", row.change, o.warnings, row.want)
		}
		m.do(logical.DeleteOperation, "role/r", nil)
	}
}

// A list that came as JSON within a text, or in quotes, is no list of such names.
func TestListsInTexts(t *testing.T) {
	m := newMount(t)
	m.write("config", m.config(nil))
	before := m.storage.text(t, "config")
	for text, form := range map[string]string{
		`["vault"]`: "write vault", `["vault","ci"]`: "write vault,ci", `'vault'`: "write vault", `*`: "compared as a whole", `https://*.example`: "compared as a whole", `${AUDIENCE}`: "compared as a whole",
	} {
		for operation, data := range m.writes(fields{"binding_rule_audiences": text}) {
			if o := m.do(operation, "config", data); o.status != http.StatusBadRequest || !strings.HasPrefix(o.message, "binding_rule_audiences: ") || !strings.Contains(o.message, form) {
				t.Errorf("%s %s: %d %s", operation, text, o.status, o.message)
			}
		}
		if o := m.do(logical.UpdateOperation, "role/r", m.role(fields{"audience": "", "bound_audiences": text})); o.status != http.StatusBadRequest || !strings.Contains(o.message, form) {
			t.Errorf("bound_audiences %s: %d %s", text, o.status, o.message)
		}
		if o := m.write("role/r", m.role(fields{"audience": text})); len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], "audience: ") {
			t.Errorf("audience %s: %q", text, o.warnings)
		}
	}
	if m.storage.text(t, "config") != before {
		t.Error("a refused write changed the configuration")
	}
	if o := m.do(logical.UpdateOperation, "role/r", m.role(fields{"bound_service_accounts": `["ops/web"]`})); o.status != http.StatusBadRequest || !strings.Contains(o.message, "write ops/web") {
		t.Errorf("pairs: %d %s", o.status, o.message)
	}
	for _, field := range []string{"bound_service_account_names", "bound_service_account_namespaces", "token_policies", "policies"} {
		change := fields{"token_policies": nil}
		change[field] = `["web"]`
		if o := m.write("role/r", m.role(change)); len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], field+": ") || !strings.Contains(o.warnings[0], "write web") {
			t.Errorf("%s: %q", field, o.warnings)
		}
		m.do(logical.DeleteOperation, "role/r", nil)
	}
	if o := m.write("role/r", m.role(fields{"bound_service_account_names": []string{"web", "w-*"}, "token_policies": "a,b/c"})); o.warnings != nil {
		t.Errorf("names as they can be: %q", o.warnings)
	}
}

// What is stored of audiences goes on through writes that leave it as it is.
func TestStoredAudiencesGoOn(t *testing.T) {
	m := newMount(t)
	m.write("config", m.config(fields{"binding_rule_audiences": "vault"}))
	m.storage.put(t, "config", strings.Replace(m.storage.text(t, "config"), `["vault"]`, `["*"]`, 1))
	m.InvalidateKey(t.Context(), "config")
	for operation, data := range m.writes(fields{"cluster_name": "x", "binding_rule_audiences": "*"}) {
		if o := m.do(operation, "config", data); o.status != http.StatusOK {
			t.Errorf("%s: %d %s", operation, o.status, o.message)
		}
	}
}

// A selector of a role that holds for anybody narrows nothing, and the write says so.
func TestRoleSelectorThatNarrowsNothing(t *testing.T) {
	m := newMount(t)
	for selector, want := range map[string]bool{
		`serviceaccount.namespace matches "."`: true, `serviceaccount.name != ""`: true,
		`serviceaccount.namespace == "apps"`: false, `serviceaccount.namespace != "kube-system"`: false, "*": false,
	} {
		o := m.write("role/r", m.role(fields{"selector": selector}))
		if got := len(o.warnings) == 1 && strings.HasPrefix(o.warnings[0], "selector narrows nothing"); got != want || len(o.warnings) > 1 {
			t.Errorf("%s: %q", selector, o.warnings)
		}
	}
	m.write("role/r", m.role(fields{"selector": `serviceaccount.name matches "."`}))
	if o := m.write("role/r", fields{"token_ttl": 60}); o.warnings != nil {
		t.Errorf("a write that does not name it: %q", o.warnings)
	}
}

// A role that is named and empty is what some clients always send, and what is left of a
// variable that was not set: the login goes by rules, and says so.
func TestLoginWithAnEmptyRole(t *testing.T) {
	m := newDemo(t, fields{"binding_rule_audiences": "vault"}, nil)
	m.rule("all", "*", "policy", "base")
	jwt := m.token()
	for name, row := range map[string]struct {
		body fields
		said bool
	}{
		"empty": {fields{"role": "", "jwt": jwt}, true}, "null": {fields{"role": nil, "jwt": jwt}, true}, "left out": {fields{"jwt": jwt}, false}, "a role": {fields{"role": "demo", "jwt": m.token()}, false},
	} {
		o := m.do(logical.UpdateOperation, "login", row.body)
		if o.auth == nil || slices.Contains(o.warnings, emptyRole) != row.said || len(o.warnings) > 1 {
			t.Errorf("%s: %d %s %q", name, o.status, o.message, o.warnings)
		}
	}
}
