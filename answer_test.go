package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// On the paths that only this plugin has, a field that does not exist is refused, with
// the one that was meant, and nothing is stored.
func TestUnknownFieldsAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		operation logical.Operation
		path      string
		data      fields
		words     []string
	}{
		"selector of a rule": {
			logical.UpdateOperation, "binding-rule/x", fields{"selecter": `serviceaccount.name == "db"`, "bind_type": "policy", "bind_name": "admin"},
			[]string{`there is no field "selecter"`, `did you mean "selector"?`},
		},
		"Consul's spelling": {
			logical.UpdateOperation, "binding-rule/x", fields{"BindType": "policy", "bind_name": "admin"},
			[]string{`there is no field "BindType"`, `did you mean "bind_type"?`},
		},
		"two of them": {
			logical.UpdateOperation, "binding-rule/x", fields{"bindname": "a", "zone": "b", "bind_type": "policy"},
			[]string{`did you mean "bind_name"?`, `there is no field "zone"; the fields are bind_name, bind_type, bind_vars, description, name, selector`},
		},
		"one that is null": {
			logical.UpdateOperation, "binding-rule/x", fields{"selecter": nil, "bind_type": "policy", "bind_name": "admin"},
			[]string{`did you mean "selector"?`},
		},
		"patch of a rule": {
			logical.PatchOperation, "binding-rule/old", fields{"slector": "*"}, []string{`did you mean "selector"?`},
		},
		"another name in the body": {
			logical.UpdateOperation, "binding-rule/x", fields{"name": "y", "selector": "*", "bind_type": "policy", "bind_name": "admin"},
			[]string{`name: it is "x" by the path`},
		},
		"role of explain": {
			logical.UpdateOperation, "explain", fields{"rol": "demo", "jwt": "x"}, []string{`there is no field "rol"`, `did you mean "role"?`},
		},
		"dry_run of the import": {
			logical.UpdateOperation, "import/consul", fields{"auth_method": "{}", "binding_rules": "[]", "dryrun": true}, []string{`did you mean "dry_run"?`},
		},
		"patch of the configuration": {
			logical.PatchOperation, "config", fields{"require_audiance": true}, []string{`did you mean "require_audience"?`},
		},
		"a name that is long": {
			logical.UpdateOperation, "explain", fields{strings.Repeat("x", 5000): "y", "jwt": "x"}, []string{"there is no field"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.rule("old", "*", "policy", "base")
			stored := m.read("config")
			o := m.do(row.operation, row.path, row.data)
			if o.status != http.StatusBadRequest || len(o.message) > 1000 {
				t.Fatalf("%d %s %v", o.status, o.message, o.data)
			}
			for _, word := range row.words {
				if !strings.Contains(o.message, word) {
					t.Errorf("%q is not in %q", word, o.message)
				}
			}
			if m.storage.text(t, "binding-rule/x") != "" || m.read("binding-rule/old")["selector"] != "*" {
				t.Error("something was stored")
			}
			wantData(t, m.read("config"), stored)
		})
	}
	m := newDemo(t, nil, nil)
	if o := m.do(logical.UpdateOperation, "login", fields{"role": "demo", "jwt": m.token(), "rol": "x"}); o.auth == nil {
		t.Errorf("a login with one field more, which Vault's own method ignores: %d %s", o.status, o.message)
	}
}

// On the paths that Vault's own method has too they are ignored, and Vault's warning
// says so, whatever else there is to say.
func TestUnknownFieldsWarn(t *testing.T) {
	const ignored = "Endpoint ignored these unrecognized parameters: "
	const replaced = "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: "
	m := newMount(t)
	for _, row := range []struct {
		name, path string
		data       fields
		want       []string // the beginnings of the warnings
	}{
		{"a configuration", "config", m.config(fields{"require_audiance": true}), []string{ignored + "[require_audiance]"}},
		{"it again", "config", m.config(fields{"require_audiance": true, "a": 1}), []string{ignored + "[a require_audiance]"}},
		{"nothing wrong with it", "config", m.config(nil), nil},
		{"another warning with it", "config", m.config(fields{"token_reviewer_jwt": nil, "b": 1}), []string{"token_reviewer_jwt was not named", ignored + "[b]"}},
		{"a role", "role/r", m.role(fields{"token_polices": "a"}), []string{ignored + "[token_polices]"}},
		{"an update of it", "role/r", fields{"token_polices": "a"}, []string{ignored + "[token_polices]"}},
		{"a role without audience", "role/r", fields{"audience": "", "x": "a"}, []string{"Role r does not have", "The role now takes", ignored + "[x]"}},
		{"a role by its name", "role/r", m.role(fields{"name": "R"}), nil},
		{"a role by another name", "role/r", m.role(fields{"name": "other"}), []string{replaced + "[name]"}},
		{"nothing wrong with a role", "role/r", m.role(nil), nil},
	} {
		if got := m.write(row.path, row.data).warnings; !slices.EqualFunc(got, row.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

// What a write is refused for may be what was spelled otherwise, so the refusal names it too.
func TestRefusalsNameUnknownFields(t *testing.T) {
	m := newMount(t)
	for _, row := range []struct {
		path string
		data fields
		want []string
	}{
		{"role/r", fields{"bound_service_account_names": "web", "bound_service_account_namespace": "shop"},
			[]string{`"bound_service_account_namespaces" can not be empty`, `there is no field "bound_service_account_namespace"; did you mean "bound_service_account_namespaces"?`}},
		{"config", fields{"kubernetes_hosts": m.api.URL}, []string{"no host provided", `did you mean "kubernetes_host"?`}},
	} {
		o := m.do(logical.CreateOperation, row.path, row.data)
		if row.path == "config" {
			o = m.do(logical.UpdateOperation, row.path, row.data)
		}
		for _, want := range row.want {
			if o.status != http.StatusBadRequest || !strings.Contains(o.message, want) {
				t.Errorf("%s: %d %q, want %q", row.path, o.status, o.message, want)
			}
		}
	}
	if o := m.do(logical.CreateOperation, "role/r", fields{"bound_service_account_names": "web"}); strings.Contains(o.message, "there is no field") {
		t.Errorf("nothing is spelled otherwise: %s", o.message)
	}
}

// Where there is nothing to say there is no response, which is a 204 and no empty 200.
func TestAnswerOfNothing(t *testing.T) {
	m := newMount(t)
	for path, data := range map[string]fields{"config": m.config(nil), "role/r": m.role(nil), "binding-rule/r": {"selector": "*", "bind_type": "policy", "bind_name": "x"}} {
		response, err := m.HandleRequest(t.Context(), &logical.Request{Operation: logical.CreateOperation, Path: path, Data: data, Storage: m.storage})
		if path == "config" {
			response, err = m.HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: path, Data: data, Storage: m.storage})
		}
		if response != nil || err != nil {
			t.Errorf("%s: %+v, %v", path, response, err)
		}
	}
}
