package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// consulMethod is an auth method of Consul's for the fake API server.
func (m *mount) consulMethod() string {
	return fmt.Sprintf(`{"Name":"k8s","Type":"kubernetes","MaxTokenTTL":"1h","Config":{"Host":%q,"CACert":%q,"ServiceAccountJWT":%q}}`,
		m.api.URL, m.api.CAPEM, m.api.Reviewer)
}

func consulRule(id, selector, bindType, bindName string) string {
	return fmt.Sprintf(`{"ID":%q,"AuthMethod":"k8s","Selector":%q,"BindType":%q,"BindName":%q}`, id, selector, bindType, bindName)
}

func (m *mount) importConsul(dryRun bool, rules ...string) outcome {
	m.t.Helper()
	return m.do(logical.UpdateOperation, "import/consul", fields{
		"auth_method": m.consulMethod(), "binding_rules": "[" + strings.Join(rules, ",") + "]", "dry_run": dryRun,
	})
}

func TestImportFromConsul(t *testing.T) {
	m := newMount(t)
	rules := []string{
		consulRule("A1", "serviceaccount.namespace==apps", "service", "${serviceaccount.name}"),
		consulRule("a2", "", "policy", "base"),
		consulRule("a3", "value.x==1", "policy", "unknown-attribute"),
		consulRule("a4", "", "policy", "root"),
		consulRule("../x", "", "policy", "traversal"),
		consulRule("a5", "", "role", "missing"),
	}

	planned := m.importConsul(true, rules...)
	if planned.status != http.StatusOK || m.storage.writes.Load() != 0 {
		t.Fatalf("dry run: %d %s, %d writes", planned.status, planned.message, m.storage.writes.Load())
	}
	done := m.importConsul(false, rules...)
	if done.status != http.StatusOK {
		t.Fatalf("%d %s", done.status, done.message)
	}
	for _, key := range []string{"rules", "not_carried_over"} {
		if fmt.Sprint(planned.data[key]) != fmt.Sprint(done.data[key]) {
			t.Errorf("%s: planned %v, done %v", key, planned.data[key], done.data[key])
		}
	}
	if len(done.warnings) != 1 || !strings.Contains(done.warnings[0], `consul-a5: There is no role "missing"`) {
		t.Errorf("warnings %q", done.warnings)
	}
	left := fmt.Sprint(done.data["not_carried_over"])
	for _, reason := range []string{"MaxTokenTTL", "consul-a3: selector: column 1", "consul-a4: bind_name", `"consul-../x"`} {
		if !strings.Contains(left, reason) {
			t.Errorf("not carried over: %s, want a line with %q", left, reason)
		}
	}
	if strings.Contains(fmt.Sprint(done.data), m.api.Reviewer) {
		t.Error("the reviewer's token is in the answer")
	}
	auth := m.mustLoginByRules(m.token())
	if !slices.Equal(auth.Policies, []string{"base"}) || auth.Alias.Metadata[metadataConsulService] != "web" {
		t.Errorf("policies %q, metadata %v", auth.Policies, auth.Alias.Metadata)
	}
	if got := m.read("config")["service_name_annotation"]; got != "consul.hashicorp.com/service-name" {
		t.Errorf("service_name_annotation is %v", got)
	}

	again := fmt.Sprint(m.importConsul(false, append(rules[:1:1], consulRule("a2", "", "policy", "other"))...).data["rules"])
	for _, line := range []string{"unchanged consul-a1", "update consul-a2"} {
		if !strings.Contains(again, line) {
			t.Errorf("the second import says %s, want %q", again, line)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	m := newMount(t)
	for name, data := range map[string]fields{
		"no method":       {"binding_rules": "[]"},
		"no rules":        {"auth_method": m.consulMethod()},
		"method of jwt":   {"auth_method": `{"Type":"jwt"}`, "binding_rules": "[]"},
		"no host":         {"auth_method": `{"Type":"kubernetes"}`, "binding_rules": "[]"},
		"CA that is none": {"auth_method": `{"Type":"kubernetes","Config":{"Host":"h","CACert":"none"}}`, "binding_rules": "[]"},
	} {
		if got := m.do(logical.UpdateOperation, "import/consul", data); got.status != http.StatusBadRequest || m.storage.writes.Load() != 0 {
			t.Errorf("%s: %d %s, %d writes", name, got.status, got.message, m.storage.writes.Load())
		}
	}
}

// All or nothing: what was written before a failure is put back.
func TestImportPutsBack(t *testing.T) {
	m := newMount(t)
	m.importConsul(false, consulRule("a1", "", "policy", "before"))
	before := m.storage.text(t, "config") + m.storage.text(t, "binding-rule/consul-a1")
	m.storage.failPut("binding-rule/consul-a3")
	failed := m.importConsul(false, consulRule("a1", "", "policy", "after"), consulRule("a2", "", "policy", "new"), consulRule("a3", "", "policy", "new"))
	if !errors.Is(failed.err, errStorage) {
		t.Fatalf("%d %s", failed.status, failed.message)
	}
	m.storage.failPut("")
	if after := m.storage.text(t, "config") + m.storage.text(t, "binding-rule/consul-a1"); after != before {
		t.Errorf("stored %s, before it was %s", after, before)
	}
	if m.storage.text(t, "binding-rule/consul-a2") != "" {
		t.Error("a rule of the import that failed is left")
	}
	if auth := m.mustLoginByRules(m.token()); !slices.Equal(auth.Policies, []string{"before"}) {
		t.Errorf("policies %q", auth.Policies)
	}
}
