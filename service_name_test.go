package main

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// Whether the annotation counts is said for each rule, and shown wherever the rule is.
func TestRulesSayWhoseNameTheyMean(t *testing.T) {
	m := newRules(t, nil)
	const flag = "use_service_name_annotation"
	rule := fields{"selector": `serviceaccount.namespace == "apps" and serviceaccount.name == "db"`, "bind_type": "policy", "bind_name": "p", flag: true}
	written := m.do(logical.UpdateOperation, "binding-rule/r", rule)
	if len(written.warnings) != 1 || !strings.Contains(written.warnings[0], "service_name_annotation of the configuration") {
		t.Errorf("without the annotation's key: warnings %q", written.warnings)
	}
	m.write("config", m.config(fields{"service_name_annotation": "example.com/name"}))
	if written := m.do(logical.UpdateOperation, "binding-rule/r", rule); len(written.warnings) != 0 {
		t.Errorf("with the annotation's key: warnings %q", written.warnings)
	}
	m.rule("s", "", "policy", "s")
	for name, want := range map[string]bool{"r": true, "s": false} {
		listed := m.do(logical.ListOperation, "binding-rule/", nil).data["key_info"].(map[string]any)[name].(map[string]any)
		if got := m.read("binding-rule/" + name)[flag]; got != want || listed[flag] != want {
			t.Errorf("%s: read %v, listed %v, want %t", name, got, listed[flag], want)
		}
	}
	m.write("binding-rule/r", fields{"description": "kept"})
	if m.read("binding-rule/r")[flag] != true {
		t.Error("a write that does not name the flag took it away")
	}
	m.write("binding-rule/r", fields{flag: false})
	if m.read("binding-rule/r")[flag] != false {
		t.Error("the flag stays")
	}
	if stored := m.storage.text(t, "binding-rule/s"); strings.Contains(stored, flag) {
		t.Errorf("stored %s", stored)
	}
}
