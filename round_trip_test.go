package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// overTheWire is what a client gets of a read, and sends back.
func overTheWire(t *testing.T, data fields) fields {
	t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	sent := fields{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&sent); err != nil {
		t.Fatal(err)
	}
	return sent
}

// What was read can be written back, and then nothing changed and there is nothing to say.
func TestWhatIsReadCanBeWrittenBack(t *testing.T) {
	gate := func(m *mount) {
		m.write("role/gate", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "only_by_binding_rules": true, "audience": "vault"})
	}
	for name, row := range map[string]struct {
		path      string
		operation logical.Operation
		write     func(m *mount)
		also      func(m *mount) fields // what is sent beside what was read
	}{
		"configuration, patched":         {"config", logical.PatchOperation, func(m *mount) { m.write("config", m.config(nil)) }, nil},
		"whole configuration, patched":   {"config", logical.PatchOperation, func(m *mount) { gate(m); m.write("config", m.config(added())) }, nil},
		"configuration without reviewer": {"config", logical.PatchOperation, func(m *mount) { m.write("config", m.config(fields{"token_reviewer_jwt": nil})) }, nil},
		"verification by keys":           {"config", logical.PatchOperation, func(m *mount) { m.write("config", m.config(fields{"verification": "keys"})) }, nil},
		"live verification":              {"config", logical.PatchOperation, func(m *mount) { m.write("config", m.config(fields{"verification": "live"})) }, nil},
		"it, written":                    {"config", logical.UpdateOperation, func(m *mount) { m.write("config", m.config(fields{"token_reviewer_jwt": nil})) }, nil},
		"configuration, written with its token": {"config", logical.UpdateOperation, func(m *mount) { gate(m); m.write("config", m.config(added())) },
			func(m *mount) fields { return fields{"token_reviewer_jwt": m.api.Reviewer} }},
		"role":                  {"role/r", logical.UpdateOperation, func(m *mount) { m.write("role/r", m.role(nil)) }, nil},
		"whole role":            {"role/r", logical.UpdateOperation, func(m *mount) { m.write("role/r", allRole()) }, nil},
		"role of binding rules": {"role/r", logical.UpdateOperation, func(m *mount) { m.write("role/r", fields{"only_by_binding_rules": true}) }, nil},
		"role by the old names": {"role/r", logical.UpdateOperation, func(m *mount) {
			m.write("role/r", m.role(fields{"ttl": 60, "max_ttl": 70, "num_uses": 3, "token_policies": nil, "policies": "a", "bound_cidrs": "192.0.2.0/24"}))
		}, nil},
		"rule":          {"binding-rule/r", logical.UpdateOperation, func(m *mount) { m.rule("r", `serviceaccount.namespace == "apps"`, "policy", "x") }, nil},
		"rule, patched": {"binding-rule/r", logical.PatchOperation, func(m *mount) { m.rule("r", "*", "policy", "x") }, nil},
		"rule of an import": {"binding-rule/r", logical.PatchOperation, func(m *mount) {
			m.storage.put(t, "binding-rule/r", `{"description":"","selector":"*","bind_type":"policy","bind_name":"x","imported_from":"kube"}`)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			row.write(m)
			stored := m.storage.text(t, row.path)
			sent := overTheWire(t, m.read(row.path))
			if row.also != nil {
				maps.Copy(sent, row.also(m))
			}
			o := m.do(row.operation, row.path, sent)
			if o.status != http.StatusOK || o.warnings != nil {
				t.Errorf("%d %s %q", o.status, o.message, o.warnings)
			}
			// A list that is not there and one without anything in it are the same.
			same := strings.NewReplacer("null", "none", "[]", "none", "{}", "none", "\n", "")
			if now := m.storage.text(t, row.path); same.Replace(now) != same.Replace(stored) {
				t.Errorf("stored was\n%s, now\n%s", stored, now)
			}
		})
	}
	// A default of one way to verify is a setting under another.
	m := newMount(t)
	m.write("config", m.config(fields{"verification": "keys"}))
	m.do(logical.PatchOperation, "config", fields{"verification": "live", "max_token_lifetime": m.read("config")["max_token_lifetime"]})
	if got := m.read("config")["max_token_lifetime"]; got != int64(3900) {
		t.Errorf("max_token_lifetime of the way before, written for another: %v", got)
	}
	// A rule for everybody goes on warning, and is not refused for what it says of itself.
	m = newMount(t)
	m.write("binding-rule/r", fields{"bind_type": "policy", "bind_name": "x"})
	o := m.write("binding-rule/r", overTheWire(t, m.read("binding-rule/r")))
	if len(o.warnings) == 0 || !strings.HasPrefix(o.warnings[0], "The rule matches every service account") || m.read("binding-rule/r")["selector"] != "" {
		t.Errorf("a rule for everybody: %q", o.warnings)
	}
}

// A field that is only read is no way to change anything, and near to no secret.
func TestFieldsThatAreOnlyRead(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.rule("r", "*", "policy", "x")
	stored := m.storage.text(t, "config")
	for name, row := range map[string]struct {
		operation logical.Operation
		path      string
		data      fields
		words     string
	}{
		"another value":      {logical.PatchOperation, "config", fields{"token_reviewer_jwt_set": false}, `token_reviewer_jwt_set: it is only read, and is "true" here`},
		"mistyped":           {logical.PatchOperation, "config", fields{"token_reviewer_jwt_sett": true}, `there is no field "token_reviewer_jwt_sett"; "token_reviewer_jwt_set" is only read`},
		"mistyped otherwise": {logical.PatchOperation, "config", fields{"tokenReviewerJwtSet": true}, `"token_reviewer_jwt_set" is only read`},
		"of a rule":          {logical.UpdateOperation, "binding-rule/r", fields{"imported_from": "x"}, `imported_from: it is only read, and is "" here`},
		"of a new rule":      {logical.UpdateOperation, "binding-rule/n", fields{"imported_from": "x", "bind_type": "policy", "bind_name": "x"}, `imported_from: it is only read`},
	} {
		o := m.do(row.operation, row.path, row.data)
		if o.status != http.StatusBadRequest || !strings.Contains(o.message, row.words) || strings.Contains(o.message, "did you mean") {
			t.Errorf("%s: %d %s", name, o.status, o.message)
		}
	}
	if m.storage.text(t, "config") != stored || m.storage.text(t, "binding-rule/n") != "" {
		t.Error("something was stored")
	}
	if o := m.do(logical.PatchOperation, "config", fields{"token_reviewer_jw": "x"}); !strings.Contains(o.message, `did you mean "token_reviewer_jwt"?`) {
		t.Errorf("%s", o.message)
	}
	if o := m.write("config", m.config(fields{"token_reviewer_jwt": "x", "token_reviewer_jwt_set": false})); len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], "Endpoint ignored") {
		t.Errorf("a write, which ignores it as Vault does: %q", o.warnings)
	}
}
