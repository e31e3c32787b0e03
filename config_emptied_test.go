package main

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
)

// ways are the two in which a configuration is changed.
func ways() map[string]func(*mount, fields) outcome {
	return map[string]func(*mount, fields) outcome{
		"write": func(m *mount, change fields) outcome {
			all := m.config(added())
			maps.Copy(all, change) // null included
			return m.do(logical.UpdateOperation, "config", all)
		},
		"patch": func(m *mount, change fields) outcome { return m.do(logical.PatchOperation, "config", change) },
	}
}

// What narrows who may log in goes by an empty value, since that is documented, and never
// without a word: it may be what is left of a variable that was not set.
func TestEmptyValuesAreLoud(t *testing.T) {
	for way, write := range ways() {
		for field, row := range map[string]struct {
			before any
			said   string
			plain  any // what takes it away and is meant; nil if there is no such value
		}{
			"require_audience":       {true, "roles without an audience are taken again", false},
			"verification":           {"keys_then_review", "before, it was keys_then_review", "review"},
			"binding_rule_audiences": {"ci,vault", "one of the audiences ci, vault", nil},
			"binding_rule_role":      {"gate", `no longer go through the role "gate"`, nil},
			"tls_server_name":        {"kubernetes.default.svc", "before, kubernetes.default.svc", nil},
			"pem_keys":               {"KEY", "the 1 keys that were stored are gone", nil},
			"issuer":                 {"https://issuer", "before, it was https://issuer", nil},
			"kubernetes_ca_cert":     {"CA", "those of the system", nil},
			// What does not narrow is a setting that is lost all the same.
			"cluster_name":               {"east", "before, it was east", nil},
			"service_name_annotation":    {"example.com/name", "before, it was example.com/name", nil},
			"consul_namespace_prefix":    {"k8s-", "before, it was k8s-", nil},
			"consul_namespace_overrides": {fields{"a": "b", "c": "d"}, "before, it was a=b, c=d", nil},
			"request_timeout":            {"7s", "before, it was 7s", "0"},
			"max_concurrent_reviews":     {"70", "before, it was 70", nil},
			"renewal_check":              {"none", "before, it was none", nil},
			"token_review_cache_ttl":     {"20s", "before, it was 20s", "0"},
			"proxy_url":                  {"http://me:secret@proxy:3128", "before, it was http://me:xxxxx@proxy:3128", nil},
		} {
			for name, empty := range map[string]any{"empty": "", "null": nil, "an empty list": []any{}} {
				_, isBool := row.before.(bool)
				isList := field == "pem_keys" || field == "binding_rule_audiences"
				if name == "an empty list" && !isList {
					continue
				}
				t.Run(way+"/"+field+"/"+name, func(t *testing.T) {
					m := newMount(t)
					m.write("role/gate", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "only_by_binding_rules": true, "audience": "vault"})
					before := row.before
					switch before {
					case "KEY":
						before = m.api.ECDSAKey().PublicPEM()
					case "CA":
						before = m.api.CAPEM
					}
					m.write("config", m.config(merge(added(), fields{field: before})))
					o := write(m, fields{field: empty})
					if o.status != http.StatusOK || len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], field+" was named with an empty value") || !strings.Contains(o.warnings[0], row.said) {
						t.Errorf("%d %s %q", o.status, o.message, o.warnings)
					}
					if o = write(m, fields{field: empty}); isBool && empty == "" && len(o.warnings) == 1 && strings.Contains(o.warnings[0], "is read as false") {
						return // an empty text is no boolean, whatever is stored
					}
					if o.warnings != nil {
						t.Errorf("it was gone already: %q", o.warnings)
					}
					if row.plain != nil {
						m.write("config", m.config(merge(added(), fields{field: before})))
						if o := write(m, fields{field: row.plain}); o.warnings != nil {
							t.Errorf("%v is meant: %q", row.plain, o.warnings)
						}
					}
				})
			}
		}
	}
}

// An empty text for a boolean is read as false, also where the default is true.
func TestEmptyBooleansAreLoud(t *testing.T) {
	for way, write := range ways() {
		for _, field := range []string{"disable_iss_validation", "disable_local_ca_jwt", "use_annotations_as_alias_metadata", "require_audience", "map_namespaces"} {
			m := newMount(t)
			m.write("role/gate", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "only_by_binding_rules": true, "audience": "vault"})
			m.write("config", m.config(fields{"disable_iss_validation": true}))
			change := fields{field: ""}
			if field == "map_namespaces" {
				change["consul_namespace_prefix"], change["consul_namespace_overrides"] = "", ""
			}
			o := write(m, change)
			if len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], field+" was named with an empty value, which is read as false.") {
				t.Errorf("%s %s: %d %s %q", way, field, o.status, o.message, o.warnings)
			}
			if field == "disable_iss_validation" && !strings.Contains(strings.Join(o.warnings, ""), "No issuer is named, so none is checked.") {
				t.Errorf("%s: %q", way, o.warnings)
			}
		}
	}
	m := newMount(t)
	if o := m.do(logical.UpdateOperation, "config", fields{"kubernetes_host": m.api.URL, "disable_local_ca_jwt": true, "disable_iss_validation": nil}); len(o.warnings) != 1 {
		t.Errorf("null, which a write reads as false: %q", o.warnings)
	}
	m.write("config", m.config(nil))
	if o := m.do(logical.PatchOperation, "config", fields{"disable_iss_validation": nil}); o.warnings != nil || m.read("config")["disable_iss_validation"] != true {
		t.Errorf("null, which a patch reads as the default: %q", o.warnings)
	}
	if o := m.write("role/r", m.role(fields{"only_by_binding_rules": ""})); len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], "only_by_binding_rules was named with an empty value") {
		t.Errorf("a role: %q", o.warnings)
	}
	if o := m.write("binding-rule/r", fields{"selector": "*", "bind_type": "policy", "bind_name": "x", "use_service_name_annotation": ""}); len(o.warnings) != 1 {
		t.Errorf("a rule: %q", o.warnings)
	}
	o := m.do(logical.UpdateOperation, "import/consul", fields{"auth_method": "{}", "binding_rules": "[]", "dry_run": ""})
	if o.status != http.StatusBadRequest || !strings.Contains(o.message, "dry_run: it is named and empty") {
		t.Errorf("a dry run that is none: %d %s", o.status, o.message)
	}
}

// The reviewer's token goes by an empty value, which is how somebody says so, and is what a
// failed kubectl create token leaves in a file.
func TestEmptiedReviewerIsLoud(t *testing.T) {
	for way, write := range ways() {
		for name, empty := range map[string]any{"empty": "", "null": nil, "blank": " \n"} {
			t.Run(way+"/"+name, func(t *testing.T) {
				m := newDemo(t, nil, nil)
				m.write("role/gate", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "only_by_binding_rules": true, "audience": "vault"})
				m.write("config", m.config(added()))
				m.logs.Take()
				o := write(m, fields{"token_reviewer_jwt": empty})
				if len(o.warnings) != 1 || !strings.HasPrefix(o.warnings[0], "token_reviewer_jwt was named with an empty value") {
					t.Errorf("%d %q", o.status, o.warnings)
				}
				if got := m.logs.One(t); got.Level != hclog.Warn || !strings.Contains(got.Message, "empty value") || got.Fields["remedy"] == "" {
					t.Errorf("logged %s", got)
				}
				if m.read("config")["token_reviewer_jwt_set"] != false {
					t.Error("a token is said to be set")
				}
				if o := write(m, fields{"token_reviewer_jwt": empty}); o.warnings != nil {
					t.Errorf("once more: %q", o.warnings)
				}
			})
		}
	}
	m := newDemo(t, nil, nil)
	m.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": ""})
	data := m.checked()
	wantCheck(t, data, "reviewer", "warn", "none is configured, each login reviews itself", "vault patch auth/test/config token_reviewer_jwt=@reviewer.jwt")
	if data["status"] != "warn" {
		t.Errorf("the status is %v", data["status"])
	}
}
