package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// What was meant as a template is refused where it is written, with the right form, and
// nothing is stored.
func TestNamesMeantOtherwiseAreRefused(t *testing.T) {
	for name, want := range map[string]string{
		"ns-{{serviceaccount.namespace}}": "bind_name: column 4: `{{serviceaccount.namespace}}` would stand in the name as it is; attributes are written like ${serviceaccount.namespace}; write: ns-${serviceaccount.namespace}",
		"ns-$serviceaccount.namespace":    "; write: ns-${serviceaccount.namespace}",
		"team-*":                          `; write: ${"team-*"}`,
		"ns-.namespace":                   "; write: ns-${serviceaccount.namespace}",
		"ns-${serviceaccount.namespaces}": "; write: ns-${serviceaccount.namespace}",
	} {
		m := newRules(t, nil)
		m.rule("old", "*", "policy", "base")
		for path, operation := range map[string]logical.Operation{"binding-rule/new": logical.UpdateOperation, "binding-rule/old": logical.PatchOperation} {
			o := m.do(operation, path, fields{"selector": "*", "bind_type": "policy", "bind_name": name})
			if o.status != http.StatusBadRequest || !strings.HasSuffix(o.message, want) {
				t.Errorf("%s %s: %d %s, want %s", path, name, o.status, o.message, want)
			}
		}
		if m.storage.text(t, "binding-rule/new") != "" || m.read("binding-rule/old")["bind_name"] != "base" {
			t.Errorf("%s is stored", name)
		}
		if got := m.mustLoginByRules(m.token()).Policies; !slices.Equal(got, []string{"base"}) {
			t.Errorf("%s: policies %q", name, got)
		}
		_, form, _ := strings.Cut(want, "; write: ")
		m.rule("new", "*", "policy", form)
	}
}

// A rule that was stored before goes on to grant what it did, and its other fields can
// be changed.
func TestStoredNamesGoOn(t *testing.T) {
	m := newRules(t, nil)
	m.stored("binding-rule/old", `{"selector":"serviceaccount.name != \"kube-*\"","bind_type":"policy","bind_name":"team-*"}`)
	m.write("binding-rule/old", fields{"description": "as it was"})
	if got := m.mustLoginByRules(m.token()).Policies; !slices.Equal(got, []string{"team-*"}) {
		t.Errorf("policies %q", got)
	}
	for field, value := range map[string]string{"bind_name": "team-*", "bind_type": "policy", "selector": `serviceaccount.name != "kube-*"`} {
		if o := m.do(logical.PatchOperation, "binding-rule/old", fields{field: value}); o.status != http.StatusBadRequest || !strings.Contains(o.message, "; write: ") {
			t.Errorf("%s: %d %s", field, o.status, o.message)
		}
	}
}

func TestImportRefusesNamesMeantOtherwise(t *testing.T) {
	m := newMount(t)
	rules := []string{
		consulRule("a1", "", "policy", "ns-{{serviceaccount.namespace}}"),
		consulRule("a2", "", "policy", "ns-${serviceaccount.namespace}"),
	}
	o := m.importConsul(false, rules...)
	if o.status != http.StatusBadRequest || !strings.Contains(o.message, "consul-a1: bind_name: column 4") || !strings.Contains(o.message, "; write: ns-${serviceaccount.namespace}") {
		t.Errorf("%d %s", o.status, o.message)
	}
	o = m.importWith(fields{"skip_unsupported_rules": true}, rules...)
	if o.status != http.StatusOK || m.storage.text(t, "binding-rule/consul-a1") != "" || m.storage.text(t, "binding-rule/consul-a2") == "" {
		t.Errorf("%d %s", o.status, o.message)
	}
}

// Selectors of roles and of rules are refused alike, with the right form.
func TestRefusedSelectorsShowTheRightForm(t *testing.T) {
	for selector, want := range map[string]string{
		`pod.name matches "^runner\."`:          `pod.name matches "^runner\\."`,
		`serviceaccount.name == my-app`:         `serviceaccount.name == "my-app"`,
		`serviceaccount.name = 'web'`:           `serviceaccount.name == "web"`,
		`pod.name == "a" && pod.uid == "b"`:     `pod.name == "a" and pod.uid == "b"`,
		`serviceaccount.namespace != "kube-*"`:  `serviceaccount.namespace not matches "^kube-.*$"`,
		`{{.serviceaccount.namespace}} == "ci"`: `serviceaccount.namespace == "ci"`,
	} {
		m := newRules(t, nil)
		role := fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "ci"}
		rule := fields{"bind_type": "policy", "bind_name": "x"}
		for path, data := range map[string]fields{"role/x": role, "binding-rule/x": rule} {
			o := m.do(logical.UpdateOperation, path, merge(data, fields{"selector": selector}))
			if o.status != http.StatusBadRequest || !strings.HasSuffix(o.message, "; write: "+want) || m.storage.text(t, path) != "" {
				t.Errorf("%s: %s: %d %s", path, selector, o.status, o.message)
			}
			m.write(path, merge(data, fields{"selector": want}))
		}
	}
}

// A role whose selector was stored before can have its other fields changed.
func TestStoredSelectorsOfRolesGoOn(t *testing.T) {
	m := newRules(t, nil)
	m.stored("role/x", `{"bound_service_account_names":["*"],"bound_service_account_namespaces":["*"],"selector":"pod.name != \"web-*\"","alias_name_source":"serviceaccount_uid"}`)
	m.write("role/x", fields{"token_ttl": "1h"})
	if o := m.do(logical.UpdateOperation, "role/x", fields{"selector": `pod.name != "web-*"`}); o.status != http.StatusBadRequest || !strings.HasSuffix(o.message, `; write: pod.name not matches "^web-.*$"`) {
		t.Errorf("%d %s", o.status, o.message)
	}
}
