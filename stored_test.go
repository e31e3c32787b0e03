package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// Entries in the form in which Vault's own method writes them, or once wrote
// them. HOST, CA and REVIEWER stand for what belongs to the API server of a test.
const (
	vaultConfig = `{"pem_keys":[],"host":"HOST","ca_cert":"CA","token_reviewer_jwt":"REVIEWER","issuer":"",
		"disable_iss_validation":true,"disable_local_ca_jwt":false,"use_annotations_as_alias_metadata":false}`

	// From before there were annotations.
	vaultConfigOlder = `{"pem_keys":null,"host":"HOST","ca_cert":"CA","token_reviewer_jwt":"REVIEWER","issuer":"",
		"disable_iss_validation":true,"disable_local_ca_jwt":true}`

	// Only what there was from the start.
	vaultConfigOldest = `{"pem_keys":[],"host":"HOST","ca_cert":"CA","token_reviewer_jwt":"REVIEWER"}`

	vaultRole = `{"token_bound_cidrs":["192.0.2.0/24"],"token_explicit_max_ttl":7200000000000,"token_max_ttl":3600000000000,
		"token_no_default_policy":true,"token_num_uses":3,"token_period":600000000000,"token_policies":["p1","p2"],"token_type":1,
		"token_ttl":1200000000000,"bound_service_account_names":["web"],"bound_service_account_namespaces":["apps"],
		"bound_service_account_namespace_selector":"","audience":"vault","alias_name_source":"serviceaccount_name",
		"policies":null,"num_uses":0,"ttl":0,"max_ttl":0,"period":0,"BoundCIDRs":null}`

	// A role that was written with the deprecated fields, which Vault keeps in
	// both places.
	vaultRoleDeprecated = `{"token_bound_cidrs":["192.0.2.0/24"],"token_explicit_max_ttl":0,"token_max_ttl":3600000000000,
		"token_no_default_policy":false,"token_num_uses":3,"token_period":600000000000,"token_policies":["p1","p2"],"token_type":0,
		"token_ttl":1200000000000,"bound_service_account_names":["web"],"bound_service_account_namespaces":["apps"],
		"bound_service_account_namespace_selector":"","audience":"","alias_name_source":"serviceaccount_uid",
		"policies":["p1","p2"],"num_uses":3,"ttl":1200000000000,"max_ttl":3600000000000,"period":600000000000,"BoundCIDRs":["192.0.2.0/24"]}`

	// From before the token_* fields, audience and alias_name_source.
	vaultRoleOldest = `{"bound_service_account_names":["web"],"bound_service_account_namespaces":["apps"],"policies":["p1","p2"],
		"num_uses":3,"ttl":1200000000000,"max_ttl":3600000000000,"period":600000000000,"BoundCIDRs":["192.0.2.0/24"]}`
)

// stored puts an entry of Vault's own method under a key.
func (m *mount) stored(key, entry string) {
	m.t.Helper()
	escaped := func(text string) string { return strings.ReplaceAll(text, "\n", `\n`) }
	m.storage.put(m.t, key, strings.NewReplacer("HOST", m.api.URL, "CA", escaped(m.api.CAPEM), "REVIEWER", m.api.Reviewer).Replace(entry))
}

func TestLoginWithEntriesOfVault(t *testing.T) {
	for configName, config := range map[string]string{"today's config": vaultConfig, "older config": vaultConfigOlder, "oldest config": vaultConfigOldest} {
		for roleName, role := range map[string]string{"today's role": vaultRole, "role with deprecated fields": vaultRoleDeprecated, "oldest role": vaultRoleOldest} {
			t.Run(configName+", "+roleName, func(t *testing.T) {
				m := newMount(t)
				m.stored("config", config)
				m.stored("role/demo", role)
				token := m.token()
				if config == vaultConfigOldest {
					// The issuer of the time.
					token = m.api.LegacyToken("apps", "web", "web-token", kubetest.Audience("vault", m.api.Issuer))
				}
				auth := m.mustLogin(token)
				uid := auth.Metadata["service_account_uid"]
				wantAlias := uid
				if role == vaultRole {
					wantAlias = "apps/web"
				}
				if uid == "" || auth.Alias.Name != wantAlias {
					t.Errorf("the alias is %q, want %q", auth.Alias.Name, wantAlias)
				}
				if !slices.Equal(auth.Policies, []string{"p1", "p2"}) || auth.TTL != 20*time.Minute || auth.MaxTTL != time.Hour ||
					auth.Period != 10*time.Minute || auth.NumUses != 3 || fmt.Sprint(auth.BoundCIDRs) != "[192.0.2.0/24]" {
					t.Errorf("the token gets %+v", auth)
				}
				today := role == vaultRole
				if auth.NoDefaultPolicy != today || (auth.ExplicitMaxTTL == 2*time.Hour) != today || (auth.TokenType == logical.TokenTypeService) != today {
					t.Errorf("the token gets %+v", auth)
				}
			})
		}
	}
}

// Vault's own method checks no issuer where none is named, and many mounts have it so,
// since its Terraform provider writes that. Switching over must not lock them out, and
// neither must a write that says nothing else about the issuer.
func TestIssuerLeftOpenByVault(t *testing.T) {
	for name, row := range map[string]struct {
		stored  string // "" for a mount that begins here
		change  func(m *mount)
		refused bool
	}{
		"taken over": {stored: vaultConfigOldest, change: func(*mount) {}},
		"taken over, a field patched": {stored: vaultConfigOldest, change: func(m *mount) {
			m.do(logical.PatchOperation, "config", fields{"request_timeout": 5})
		}},
		"taken over, written again as it was": {stored: vaultConfigOldest, change: func(m *mount) {
			m.write("config", m.config(fields{"disable_iss_validation": false}))
			m.write("config", m.config(fields{"disable_iss_validation": false}))
		}},
		"taken over, switched off and on": {stored: vaultConfigOldest, refused: true, change: func(m *mount) {
			m.write("config", m.config(nil))
			m.write("config", m.config(fields{"disable_iss_validation": false}))
		}},
		"taken over, the issuer named and taken away": {stored: vaultConfigOldest, refused: true, change: func(m *mount) {
			m.do(logical.PatchOperation, "config", fields{"issuer": m.api.Issuer})
			m.mustLogin(m.token())
			m.do(logical.PatchOperation, "config", fields{"issuer": nil})
		}},
		"deleted and written": {stored: vaultConfigOldest, refused: true, change: func(m *mount) {
			m.do(logical.DeleteOperation, "config", nil)
			m.write("config", m.config(fields{"disable_iss_validation": false}))
		}},
		"written here": {refused: true, change: func(m *mount) {
			m.logs.Take()
			m.write("config", m.config(fields{"disable_iss_validation": false}))
			if lines := m.logs.Take(); len(lines) != 1 || lines[0].Level != hclog.Warn || lines[0].Fields["issuer"] != config.DefaultIssuer {
				t.Errorf("logged: %v", lines)
			}
		}},
		"damaged, and written": {refused: true, change: func(m *mount) {
			m.storage.put(t, "config", "{")
			m.write("config", m.config(fields{"disable_iss_validation": false}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			if row.stored != "" {
				m.stored("config", row.stored)
			}
			m.write("role/demo", m.role(nil))
			row.change(m)
			want := http.StatusOK
			if row.refused {
				want = http.StatusForbidden
			}
			if o := m.login("demo", m.token()); o.status != want {
				t.Errorf("the login: %d %s, want %d", o.status, o.message, want)
			}
			if got := m.read("config"); got["issuer"] != "" || got["disable_iss_validation"] != false {
				t.Errorf("it reads %v", got)
			}
		})
	}
}

func TestConfigOfVaultIsRead(t *testing.T) {
	for name, entry := range map[string]string{"today's": vaultConfig, "older": vaultConfigOlder, "oldest": vaultConfigOldest} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.stored("config", entry)
			got := m.read("config")
			if got["kubernetes_host"] != m.api.URL || got["kubernetes_ca_cert"] != m.api.CAPEM || got["token_reviewer_jwt_set"] != true ||
				got["issuer"] != "" || len(got["pem_keys"].([]string)) > 0 || got["use_annotations_as_alias_metadata"] != false {
				t.Errorf("it reads %v", got)
			}
			if got["disable_local_ca_jwt"] != (entry == vaultConfigOlder) || got["disable_iss_validation"] != (entry != vaultConfigOldest) {
				t.Errorf("it reads %v", got)
			}
		})
	}
}

func TestRoleOfVaultIsRead(t *testing.T) {
	common := fields{
		"bound_service_account_names":              []string{"web"},
		"bound_service_account_namespaces":         []string{"apps"},
		"bound_service_account_namespace_selector": "",
		"token_bound_cidrs":                        "[192.0.2.0/24]",
		"token_max_ttl":                            3600,
		"token_num_uses":                           3,
		"token_period":                             600,
		"token_policies":                           []string{"p1", "p2"},
		"token_ttl":                                1200,
		"token_explicit_max_ttl":                   0,
		"token_no_default_policy":                  false,
		"token_type":                               "default",
		"alias_name_source":                        "serviceaccount_uid",
	}
	deprecated := fields{
		"policies": []string{"p1", "p2"}, "bound_cidrs": "[192.0.2.0/24]", "num_uses": 3, "ttl": 1200, "max_ttl": 3600, "period": 600,
	}
	for name, row := range map[string]struct {
		entry   string
		changes fields
	}{
		"today's": {vaultRole, fields{
			"audience": "vault", "alias_name_source": "serviceaccount_name", "token_explicit_max_ttl": 7200, "token_no_default_policy": true, "token_type": "service",
		}},
		"with deprecated fields": {vaultRoleDeprecated, deprecated},
		"oldest":                 {vaultRoleOldest, merge(fields{"alias_name_source": ""}, deprecated)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.stored("role/demo", row.entry)
			want := merge(merge(noAddedBounds(), common), row.changes)
			wantRole(t, m.read("role/demo"), want)
		})
	}
}

// A write gives an old role the alias_name_source that it had all along, and keeps
// the rest.
func TestOldestRoleIsUpdated(t *testing.T) {
	m := newMount(t)
	m.stored("config", vaultConfig)
	m.stored("role/demo", vaultRoleOldest)
	m.write("role/demo", fields{"audience": "vault"})
	got := m.read("role/demo")
	if got["alias_name_source"] != "serviceaccount_uid" || got["audience"] != "vault" || fmt.Sprint(got["token_ttl"], got["ttl"]) != "1200 1200" {
		t.Errorf("it reads %v", got)
	}
	if auth := m.mustLogin(m.token()); auth.TTL != 20*time.Minute || !slices.Equal(auth.Policies, []string{"p1", "p2"}) {
		t.Errorf("the token gets %+v", auth)
	}
}

// Vault's own method reads what is written here: the same keys with values of the
// same types. alias_metadata is Vault's too, if not that of every version.
func TestRoleIsStoredAsVaultStoresIt(t *testing.T) {
	for name, row := range map[string]struct {
		role fields
		want string
	}{
		"all fields": {allRole(), `{"token_bound_cidrs":["192.0.2.0/24","198.51.100.7"],"token_explicit_max_ttl":4000000000000,"token_max_ttl":3000000000000,
			"token_no_default_policy":true,"token_num_uses":5,"token_period":2000000000000,"token_policies":["p1","p2"],"token_type":1,"token_ttl":1000000000000,
			"alias_metadata":{"a":"b"},"bound_service_account_names":["web","api-*"],"bound_service_account_namespaces":["apps","team-*"],
			"bound_service_account_namespace_selector":"{\"matchLabels\":{\"team\":\"ci\"}}","audience":"vault","alias_name_source":"serviceaccount_name",
			"policies":null,"num_uses":0,"ttl":0,"max_ttl":0,"period":0,"BoundCIDRs":null}`},
		"deprecated fields": {
			fields{
				"bound_service_account_names": "web", "bound_service_account_namespaces": "apps",
				"policies": "p1,p2", "num_uses": 3, "ttl": 1200, "max_ttl": 3600, "period": 600, "bound_cidrs": "192.0.2.0/24",
			},
			strings.TrimSuffix(vaultRoleDeprecated, "}") + `,"alias_metadata":null}`,
		},
		"smallest": {
			fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "apps"},
			`{"token_bound_cidrs":null,"token_explicit_max_ttl":0,"token_max_ttl":0,"token_no_default_policy":false,"token_num_uses":0,"token_period":0,
			"token_policies":null,"token_type":0,"token_ttl":0,"alias_metadata":null,"bound_service_account_names":["web"],
			"bound_service_account_namespaces":["apps"],"bound_service_account_namespace_selector":"","audience":"","alias_name_source":"serviceaccount_uid",
			"policies":null,"num_uses":0,"ttl":0,"max_ttl":0,"period":0,"BoundCIDRs":null}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("role/Demo", row.role)
			var want fields
			if err := json.Unmarshal([]byte(row.want), &want); err != nil {
				t.Fatal(err)
			}
			wantJSON(t, m.storage.text(t, "role/demo"), want)
		})
	}
}

// An entry that cannot be read is an error of the host's storage, not a refusal.
func TestBrokenEntries(t *testing.T) {
	for key, path := range map[string]string{"config": "config", "role/demo": "role/demo"} {
		t.Run(key, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.storage.put(t, key, `{"host":1,"bound_service_account_names":1}`)
			m.InvalidateKey(t.Context(), key)
			if o := m.do(logical.ReadOperation, path, nil); o.status != http.StatusInternalServerError {
				t.Errorf("read: %d %s", o.status, o.message)
			}
			if o := m.login("demo", m.token()); o.status != http.StatusInternalServerError {
				t.Errorf("login: %d %s", o.status, o.message)
			}
			m.do(logical.DeleteOperation, path, nil)
			if o := m.do(logical.ReadOperation, path, nil); o.status != http.StatusNotFound {
				t.Errorf("read after a delete: %d %s", o.status, o.message)
			}
		})
	}
}

// A selector that Vault's method took, and this plugin would not, does not stand in
// the way of writing other fields.
func TestRoleWithAStoredSelectorIsUpdated(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.stored("role/demo", `{"bound_service_account_names":["*"],"bound_service_account_namespace_selector":"{\"matchLabel\":{\"a\":\"b\"}}"}`)
	m.InvalidateKey(t.Context(), "role/demo")
	m.write("role/demo", fields{"token_ttl": 60})
	if got := m.read("role/demo")["bound_service_account_namespace_selector"]; got != `{"matchLabel":{"a":"b"}}` {
		t.Errorf("the selector is %v", got)
	}
	if got := m.do("update", "role/demo", fields{"bound_service_account_namespace_selector": `{"matchLabel":{"a":"b"}}`}); got.status != 400 {
		t.Errorf("writing it: %d", got.status)
	}
}
