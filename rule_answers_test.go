package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

const everybodyWarning = "The rule matches every service account of the cluster."

// A rule for everybody has to be meant: a selector that is named and empty, as what is
// left of a variable, is refused on every way to write one.
func TestEmptySelectorIsRefused(t *testing.T) {
	for name, empty := range map[string]any{"empty": "", "blank": " \n\t", "null": nil} {
		t.Run(name, func(t *testing.T) {
			m := newRules(t, nil)
			m.rule("old", `serviceaccount.name == "db"`, "policy", "db")
			for _, write := range []struct {
				operation logical.Operation
				path      string
				data      fields
			}{
				{logical.UpdateOperation, "binding-rule/new", fields{"selector": empty, "bind_type": "policy", "bind_name": "base"}},
				{logical.UpdateOperation, "binding-rule/old", fields{"selector": empty}},
				{logical.PatchOperation, "binding-rule/old", fields{"selector": empty}},
			} {
				o := m.do(write.operation, write.path, write.data)
				if o.status != http.StatusBadRequest || !strings.Contains(o.message, "every service account of the cluster") || !strings.Contains(o.message, "selector='*'") {
					t.Errorf("%s %s: %d %s", write.operation, write.path, o.status, o.message)
				}
			}
			if got := m.read("binding-rule/old")["selector"]; got != `serviceaccount.name == "db"` || m.storage.text(t, "binding-rule/new") != "" {
				t.Errorf("the selector is %q now", got)
			}
			wantRefused(t, m.loginByRules(m.token()), http.StatusForbidden)
		})
	}
}

func TestSelectorForEverybody(t *testing.T) {
	m := newRules(t, nil)
	if got := m.write("binding-rule/all", fields{"selector": "*", "bind_type": "policy", "bind_name": "base"}).warnings; got != nil {
		t.Errorf("warned of what was said: %q", got)
	}
	if got := m.read("binding-rule/all")["selector"]; got != "*" {
		t.Errorf("the selector reads %q", got)
	}
	info := m.do(logical.ListOperation, "binding-rule/", nil).data["key_info"].(map[string]any)["all"].(map[string]any)
	if info["selector"] != "*" {
		t.Errorf("the list has %v", info)
	}
	if got := m.mustLoginByRules(m.token()).Policies; !slices.Equal(got, []string{"base"}) {
		t.Errorf("policies %q", got)
	}
	o := m.do(logical.UpdateOperation, "explain", fields{"jwt": m.token()})
	if got := linesOf(o.data, "rules_matched"); !slices.Equal(got, []string{"all: grants policy base"}) {
		t.Errorf("explained %v", o.data)
	}
	m.write("role/demo", m.role(fields{"selector": "*"}))
	m.mustLogin(m.token())
}

// A rule without a selector is what Consul has, and goes on; each write that leaves it so
// says what it is for.
func TestRuleWithoutSelectorWarns(t *testing.T) {
	m := newRules(t, nil)
	m.storage.put(t, "binding-rule/stored", `{"selector":"","bind_type":"policy","bind_name":"old"}`)
	for what, got := range map[string][]string{
		"create":       m.write("binding-rule/all", fields{"bind_type": "policy", "bind_name": "base"}).warnings,
		"update":       m.write("binding-rule/all", fields{"bind_name": "other"}).warnings,
		"patch":        m.do(logical.PatchOperation, "binding-rule/stored", fields{"description": "x"}).warnings,
		"what is left": m.write("binding-rule/left", fields{"selector": `serviceaccount.namespace matches ""`, "bind_type": "policy", "bind_name": "x"}).warnings,
	} {
		if len(got) != 1 || !strings.HasPrefix(got[0], everybodyWarning) {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := m.do(logical.PatchOperation, "binding-rule/stored", fields{"selector": "*"}).warnings; got != nil {
		t.Errorf("once it is said: %q", got)
	}
	if got := m.mustLoginByRules(m.token()).Policies; !slices.Equal(got, []string{"old", "other", "x"}) {
		t.Errorf("policies %q", got)
	}
}

// What the analysis of a rule finds reaches its writer, with what the configuration says.
func TestRuleWarnings(t *testing.T) {
	m := newRules(t, nil)
	write := func(selector, bindType, bindName string) []string {
		return m.write("binding-rule/r", fields{"selector": selector, "bind_type": bindType, "bind_name": bindName}).warnings
	}
	for _, row := range []struct {
		selector, bindType, bindName string
		want                         []string
	}{
		{"*", "policy", "ns-${serviceaccount.namespace}", nil},
		{"*", "policy", `team-${namespace.labels["team"]}`, []string{`bind_name takes namespace.labels["team"]`}},
		{"*", "policy", "${cluster.name}", []string{"bind_name takes cluster.name, and the configuration"}},
		{"*", "policy", "k8s-${serviceaccount.namespace}-${serviceaccount.name}", []string{"bind_name gives two service accounts one name"}},
		{`pod.name matches "^runner-"`, "policy", "ci", []string{"The rule names no namespace"}},
		{"*", "role", "missing", []string{`There is no role "missing"`}},
		{`pod.name matches "^runner-"`, "role", "missing", []string{"The rule names no namespace", `There is no role "missing"`}},
	} {
		if got := write(row.selector, row.bindType, row.bindName); !slices.EqualFunc(got, row.want, strings.HasPrefix) {
			t.Errorf("%+v: %q", row, got)
		}
	}
	m.write("config", m.config(fields{"cluster_name": "east"}))
	if got := write("*", "policy", "${cluster.name}"); got != nil {
		t.Errorf("with a cluster_name: %q", got)
	}
	m.storage.put(t, "config", "{")
	m.InvalidateKey(t.Context(), "config")
	if got := write("*", "policy", "base"); got != nil {
		t.Errorf("with a configuration that cannot be read: %q", got)
	}
}

// A stored rule that ends logins is a warning of check, also where a script wrote it.
func TestCheckWarnsOfUncertainRules(t *testing.T) {
	m := newDemo(t, nil, nil)
	wantCheck(t, m.checked(), "binding_rules", "skip")
	m.rule("a", "*", "policy", "base")
	wantCheck(t, m.checked(), "binding_rules", "pass")
	m.rule("team", "*", "policy", `team-${namespace.labels["team"]}`)
	data := m.checked()
	wantCheck(t, data, "binding_rules", "warn", `binding rule "team"`, `namespace.labels["team"]`, `vault patch auth/test/binding-rule/team selector='namespace.labels["team"] is not empty'`)
	if data["status"] == "pass" {
		t.Error("check passes")
	}
	m.rule("team", `serviceaccount.name == "a" or serviceaccount.name == "b"`, "policy", `${pod.name}_${namespace.labels["team"]}`)
	wantCheck(t, m.checked(), "binding_rules", "warn",
		`selector='(serviceaccount.name == "a" or serviceaccount.name == "b") and pod.name is not empty and namespace.labels["team"] is not empty'`)
	m.rule("team", "*", "policy", "${cluster.name}")
	wantCheck(t, m.checked(), "binding_rules", "warn", "cluster_name", "vault patch auth/test/config")
	m.rule("team", `namespace.labels["team"] is not empty`, "policy", `team-${namespace.labels["team"]}`)
	wantCheck(t, m.checked(), "binding_rules", "pass")
}

// Where a write by an empty value lets more log in than could before, it says which
// bound is gone.
func TestRoleWriteSaysWhatItWidens(t *testing.T) {
	const selector = `pod.name matches "^runner-"`
	for name, row := range map[string]struct {
		before, write fields
		want          []string // nil for none; the beginnings of the warnings
	}{
		"selector":                    {fields{"selector": selector}, fields{"selector": ""}, []string{"selector is empty now, so the role no longer asks for: " + selector}},
		"selector, not named":         {fields{"selector": selector}, fields{"token_ttl": 5}, nil},
		"selector that was empty":     {nil, fields{"selector": ""}, nil},
		"audience":                    {nil, fields{"audience": ""}, []string{"Role demo does not have an audience", "The role now takes tokens for any audience; before, for vault only."}},
		"audiences":                   {fields{"audience": nil, "bound_audiences": "a,b"}, fields{"bound_audiences": ""}, []string{"Role demo does", "The role now takes tokens for any audience; before, for a, b only."}},
		"one way to say it for other": {nil, fields{"audience": "", "bound_audiences": "vault"}, nil},
		"addresses":                   {fields{"token_bound_cidrs": "192.0.2.0/24"}, fields{"token_bound_cidrs": ""}, []string{"token_bound_cidrs is empty now, so the role can be used from any address; before, from 192.0.2.0/24 only."}},
		"addresses, by the old name":  {fields{"bound_cidrs": "192.0.2.0/24"}, fields{"bound_cidrs": ""}, []string{"token_bound_cidrs is empty now"}},
		"only rules gave it":          {fields{"only_by_binding_rules": true}, fields{"only_by_binding_rules": ""}, []string{"only_by_binding_rules is false now, so whoever"}},
		"only rules gave it, null":    {fields{"only_by_binding_rules": true}, fields{"only_by_binding_rules": nil}, []string{"only_by_binding_rules is false now, so whoever"}},
		"only rules gave it, false":   {fields{"only_by_binding_rules": true}, fields{"only_by_binding_rules": false}, []string{"only_by_binding_rules is false now, so whoever"}},
		"audience, given by rules":    {fields{"only_by_binding_rules": true}, fields{"audience": ""}, []string{"The role no longer asks for an audience of its own; before, for vault only."}},
		"bounds, given by rules": {
			fields{"only_by_binding_rules": true, "bound_service_account_names": nil, "bound_service_account_namespaces": nil, "bound_service_accounts": "apps/web"},
			fields{"bound_service_accounts": ""}, []string{"The role has no bounds of its own now"},
		},
		"uses":                  {fields{"token_num_uses": 3}, fields{"token_num_uses": ""}, []string{"token_num_uses was named with an empty value, and the limit is gone; before, it was 3."}},
		"uses, null":            {fields{"token_num_uses": 3}, fields{"token_num_uses": nil}, []string{"token_num_uses was named"}},
		"uses, 0":               {fields{"token_num_uses": 3}, fields{"token_num_uses": 0}, nil},
		"uses, by the old name": {fields{"num_uses": 3}, fields{"num_uses": ""}, []string{"token_num_uses was named"}},
		"TTL":                   {fields{"token_ttl": "5m"}, fields{"token_ttl": ""}, []string{"token_ttl was named with an empty value, and the limit is gone; before, it was 5m0s."}},
		"max TTL":               {fields{"token_max_ttl": "5m"}, fields{"token_max_ttl": ""}, []string{"token_max_ttl was named"}},
		"explicit max TTL":      {fields{"token_explicit_max_ttl": "5m"}, fields{"token_explicit_max_ttl": ""}, []string{"token_explicit_max_ttl was named"}},
		"period":                {fields{"token_period": "5m"}, fields{"token_period": ""}, []string{"token_period was named"}},
		"no default policy":     {fields{"token_no_default_policy": true}, fields{"token_no_default_policy": ""}, []string{"token_no_default_policy was named"}},
		"false is meant":        {fields{"token_no_default_policy": true}, fields{"token_no_default_policy": false}, nil},
		"limit that was none":   {nil, fields{"token_ttl": ""}, nil},
		"pairs, which only add": {fields{"bound_service_accounts": "ops/web"}, fields{"bound_service_accounts": ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, row.before)
			if got := m.write("role/demo", row.write).warnings; !slices.EqualFunc(got, row.want, strings.HasPrefix) {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	m := newMount(t)
	if got := m.write("role/lent", fields{"only_by_binding_rules": true, "token_policies": "lent"}).warnings; got != nil {
		t.Errorf("a role of rules, for which the mount's audiences count: %q", got)
	}
	if got := m.write("role/new", m.role(fields{"selector": ""})).warnings; len(got) != 1 || !strings.HasPrefix(got[0], "selector is empty, so it narrows nothing") {
		t.Errorf("a new role: %q", got)
	}
}
