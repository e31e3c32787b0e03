package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// Whoever deletes a role that something refers to is told, in the same words as whoever
// writes what refers to it.
func TestDeletedRoleThatSomethingRefersTo(t *testing.T) {
	m := newRules(t, nil)
	m.write("role/All-Rules", m.role(nil))
	m.write("role/lent", m.role(nil))
	m.write("role/free", m.role(nil))
	m.rule("a", "", "role", "LENT")
	m.rule("b", "", "role", "lent")
	m.rule("c", "", "policy", "free")
	m.rule("d", `serviceaccount.name != "free"`, "role", "${serviceaccount.name}")
	m.do(logical.PatchOperation, "config", fields{"binding_rule_role": "All-Rules"})
	for _, row := range []struct{ role, want string }{
		{"free", "[]"},
		{"never-there", "[]"},
		{"Lent", `[there is no role "lent" any more, which binding rules bind; logins skip it until there is: "a", "b"]`},
		{"all-rules", `[there is no role "All-Rules", which binding_rule_role names; logins by rules are refused until there is]`},
	} {
		o := m.do(logical.DeleteOperation, "role/"+row.role, nil)
		if got := fmt.Sprint(o.warnings); o.status != http.StatusOK || got != row.want {
			t.Errorf("%s: %d %s, want %s", row.role, o.status, got, row.want)
		}
	}
	if got := m.do(logical.PatchOperation, "config", fields{"cluster_name": "x"}).warnings; len(got) != 1 || !strings.HasPrefix(got[0], `there is no role "All-Rules"`) {
		t.Errorf("the configuration: %q", got)
	}
	m.write("role/all-rules", m.role(nil))
	if got := m.write("role/all-rules", fields{"audience": "other"}).warnings; len(got) != 1 || !strings.Contains(got[0], "has none of the audiences") {
		t.Errorf("an audience with which no login by rules can pass: %q", got)
	}
}

// Vault gives some policies to no token of an auth method. It says so at login alone.
func TestPolicyThatVaultRefuses(t *testing.T) {
	for policy, answer := range map[string]string{
		"root": "400 auth methods cannot create root tokens", "ROOT": "400 auth methods cannot create root tokens",
		"response-wrapping": `400 cannot assign policy "response-wrapping"`,
	} {
		m := newDemo(t, nil, nil)
		reserved := strings.ToLower(policy)
		refused := fmt.Sprintf("has the policy %q in token_policies, which Vault gives to no token", reserved)
		if o := m.write("role/demo", fields{"token_policies": []string{"p1", policy}}); len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], "Role demo "+refused) {
			t.Errorf("write: %q", o.warnings)
		}
		wantCheck(t, m.checked(), "configuration", "warn", `role "demo": it `+refused)
		got := m.explained(fields{"role": "demo", "jwt": m.token()})
		wantFields(t, got, fields{"verdict": "invalid", "failed_step": "token", "client_sees": answer, "policies": nil,
			"remedy": "vault write auth/test/role/demo token_policies=p1"})
		if reason := fmt.Sprint(got["reason"]); !strings.Contains(reason, reserved) || !strings.Contains(reason, `the role "demo"`) {
			t.Errorf("explained with %q", reason)
		}

		if o := m.write("binding-rule/lend", fields{"selector": "*", "bind_type": "role", "bind_name": "demo"}); !slices.ContainsFunc(o.warnings, func(w string) bool { return strings.HasPrefix(w, `The role "demo" `+refused) }) {
			t.Errorf("rule: %q", o.warnings)
		}
		wantFields(t, m.explained(fields{"jwt": m.token()}), fields{"verdict": "invalid", "failed_step": "token", "remedy": "vault write auth/test/role/demo token_policies=p1"})
		m.rule("lend", "*", "policy", "base")
		if o := m.do(logical.PatchOperation, "config", fields{"binding_rule_role": "demo"}); len(o.warnings) != 1 || !strings.Contains(o.warnings[0], refused) {
			t.Errorf("binding_rule_role: %q", o.warnings)
		}
		wantFields(t, m.explained(fields{"jwt": m.token()}), fields{"verdict": "invalid", "client_sees": answer})

		m.write("role/demo", fields{"token_policies": "p1"}) // the remedy
		wantFields(t, m.explained(fields{"jwt": m.token()}), fields{"verdict": "allowed"})
		wantFields(t, m.explained(fields{"role": "demo", "jwt": m.token()}), fields{"verdict": "allowed"})
		wantCheck(t, m.checked(), "configuration", "pass")
	}
}
