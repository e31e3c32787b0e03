package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// allConfig has a value that is not the default for every field.
func (m *mount) allConfig() fields {
	return m.config(fields{
		"pem_keys":                          []string{trimmedPEM(m.api.ECDSAKey())},
		"issuer":                            "https://issuer",
		"disable_iss_validation":            false,
		"use_annotations_as_alias_metadata": true,
	})
}

// trimmedPEM is a key as it is kept: Vault trims the elements of lists.
func trimmedPEM(key kubetest.Key) string { return strings.TrimSpace(key.PublicPEM()) }

// asRead is what reading a configuration returns that was written so.
func asRead(written fields) fields {
	read := fields{
		"kubernetes_host": "", "kubernetes_ca_cert": "", "pem_keys": []string{}, "issuer": "",
		"disable_iss_validation": true, "disable_local_ca_jwt": false, "use_annotations_as_alias_metadata": false,

		"kubernetes_client_cert_set": false, "max_token_lifetime": int64(0), "require_pod_bound_tokens": false, "refuse_legacy_tokens": false, "prefer_login_reviewer_jwt": false,
		"require_audience": false, "cluster_name": "", "service_name_annotation": "",
		"map_namespaces": false, "consul_namespace_prefix": "", "consul_namespace_overrides": map[string]string{},
		"request_timeout": int64(10), "max_concurrent_reviews": 256, "renewal_check": "service_account",
		"tls_server_name": "", "proxy_url": "", "token_review_cache_ttl": int64(0),
		"verification": "review", "verification_accept": []string{}, "live_staleness": int64(0),
		"token_reviewer_service_account": "", "token_reviewer_ttl": int64(0),
		"jwks_url": "", "oidc_discovery_url": "", "jwks_ca_pem": "",
		"binding_rule_audiences": []string{}, "binding_rule_role": "",
	}
	for field, value := range written {
		switch field {
		case "kubernetes_client_key":
		case "kubernetes_client_cert", "token_reviewer_jwt":
			read[field+"_set"] = value != ""
		default:
			read[field] = value
		}
	}
	return read
}

func wantData(t *testing.T, got, want fields) {
	t.Helper()
	for _, field := range slices.Sorted(maps.Keys(want)) {
		if fmt.Sprintf("%#v", got[field]) != fmt.Sprintf("%#v", want[field]) {
			t.Errorf("%s is %#v, want %#v", field, got[field], want[field])
		}
	}
	for field := range got {
		if _, ok := want[field]; !ok {
			t.Errorf("%s is there, with %#v", field, got[field])
		}
	}
}

func TestConfigReadBack(t *testing.T) {
	m := newMount(t)
	m.write("config", m.allConfig())
	wantData(t, m.read("config"), asRead(m.allConfig()))
}

func TestConfigDefaults(t *testing.T) {
	m := newMount(t)
	config := fields{"kubernetes_host": "https://k8s.example.com", "disable_local_ca_jwt": true}
	m.write("config", config)
	want := asRead(config)
	want["token_reviewer_jwt_set"] = false
	wantData(t, m.read("config"), want)
}

// As in Vault, what a write does not name gets its default.
func TestConfigWriteReplaces(t *testing.T) {
	m := newMount(t)
	m.write("config", m.allConfig())
	config := fields{"kubernetes_host": "https://k8s.example.com", "disable_local_ca_jwt": true, "token_reviewer_jwt": ""}
	m.write("config", config)
	want := asRead(config)
	want["binding_rule_audiences"] = []string{"vault"} // which Vault's own method does not have
	wantData(t, m.read("config"), want)
}

func TestConfigBeforeItIsWritten(t *testing.T) {
	m := newMount(t)
	if o := m.do(logical.ReadOperation, "config", nil); o.status != http.StatusNotFound {
		t.Errorf("read: %d %s", o.status, o.message)
	}
	if o := m.do(logical.PatchOperation, "config", fields{"issuer": "x"}); o.status != http.StatusNotFound {
		t.Errorf("patch: %d %s", o.status, o.message)
	}
	if o := m.do(logical.DeleteOperation, "config", nil); o.status != http.StatusOK {
		t.Errorf("delete: %d %s", o.status, o.message)
	}
	if got := m.storage.text(t, "config"); got != "" {
		t.Errorf("stored: %s", got)
	}
}

func TestConfigDelete(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token())
	if o := m.do(logical.DeleteOperation, "config", nil); o.status != http.StatusOK {
		t.Fatalf("delete: %d %s", o.status, o.message)
	}
	if o := m.do(logical.ReadOperation, "config", nil); o.status != http.StatusNotFound {
		t.Errorf("read: %d %s", o.status, o.message)
	}
	if o := m.login("demo", m.token()); o.status != http.StatusInternalServerError || o.message != "could not load backend configuration" {
		t.Errorf("login: %d %s", o.status, o.message)
	}
}

func TestConfigRefuses(t *testing.T) {
	key := kubetest.NewECDSAKey()
	other := kubetest.Start(t)
	for name, row := range map[string]struct {
		change fields
		words  string // Vault's, where Vault refuses it too
	}{
		"no host":                  {fields{"kubernetes_host": ""}, "no host provided"},
		"host missing":             {fields{"kubernetes_host": nil}, "no host provided"},
		"host with another scheme": {change: fields{"kubernetes_host": "ftp://k8s.example.com"}},
		"host with a password":     {change: fields{"kubernetes_host": "https://u:hunter2@k8s.example.com"}},
		"CA is garbage":            {fields{"kubernetes_ca_cert": "garbage"}, "The provided CA PEM data contains no valid certificates"},
		"CA is a key":              {fields{"kubernetes_ca_cert": key.PublicPEM()}, config.NoCertificates + ": block 1, line 1: this is no certificate but the PUBLIC KEY"},
		"CA is broken":             {fields{"kubernetes_ca_cert": strings.Replace(other.CAPEM, "MII", "MIJ", 1)}, config.NoCertificates + ": block 1, line 1: the certificate is damaged: x509: malformed certificate"},
		"key is garbage":           {fields{"pem_keys": "garbage"}, "data does not contain any valid RSA or ECDSA public keys"},
		"one key is garbage":       {fields{"pem_keys": []string{key.PublicPEM(), "garbage"}}, "data does not contain any valid RSA or ECDSA public keys"},
		"a number for a flag":      {change: fields{"disable_iss_validation": "maybe"}},
		"a map for a host":         {change: fields{"kubernetes_host": map[string]any{"a": "b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			before := m.config(nil)
			m.write("config", before)
			stored := m.storage.text(t, "config")
			for operation, data := range map[logical.Operation]fields{
				logical.UpdateOperation: m.config(row.change),
				logical.PatchOperation:  row.change,
			} {
				o := m.do(operation, "config", data)
				if o.status != http.StatusBadRequest || row.words != "" && o.message != row.words {
					t.Errorf("%s: %d %s", operation, o.status, o.message)
				}
				if strings.Contains(o.message, "hunter2") {
					t.Errorf("the password is repeated: %s", o.message)
				}
			}
			if m.storage.text(t, "config") != stored {
				t.Error("what was refused is stored")
			}
		})
	}
}

func TestConfigAccepts(t *testing.T) {
	key := kubetest.NewECDSAKey()
	other := kubetest.Start(t)
	for name, change := range map[string]fields{
		"host and port":          {"kubernetes_host": "127.0.0.1:6443"},
		"IPv6":                   {"kubernetes_host": "fd00::1"},
		"CA bundle with a key":   {"kubernetes_ca_cert": key.PublicPEM() + other.CAPEM},
		"CA bundle of two":       {"kubernetes_ca_cert": key.CertificatePEM() + "\n# a comment\n" + other.CAPEM},
		"no CA":                  {"kubernetes_ca_cert": ""},
		"keys joined by a comma": {"pem_keys": key.PublicPEM() + "," + key.CertificatePEM()},
		"no keys":                {"pem_keys": []string{}},
		"no reviewer":            {"token_reviewer_jwt": ""},
		"flag in quotes":         {"disable_iss_validation": "false"},
		"unknown field":          {"no_such_field": 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("config", m.config(change))
			for field, value := range change {
				if _, isText := value.(string); !isText || strings.HasPrefix(field, "token") || field == "pem_keys" || field == "disable_iss_validation" {
					continue
				}
				if got := m.read("config")[field]; got != value {
					t.Errorf("%s is %q, want it as it was written: %q", field, got, value)
				}
			}
		})
	}
}

func TestConfigPatch(t *testing.T) {
	for name, patch := range map[string]fields{
		"nothing":     {},
		"one field":   {"issuer": "https://other"},
		"a flag":      {"disable_iss_validation": true},
		"a list":      {"pem_keys": []string{}},
		"empty text":  {"issuer": ""},
		"several":     {"kubernetes_host": "https://other.example.com", "use_annotations_as_alias_metadata": false},
		"no reviewer": {"token_reviewer_jwt": ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			want := m.allConfig()
			m.write("config", want)
			if o := m.do(logical.PatchOperation, "config", patch); o.status != http.StatusOK {
				t.Fatalf("%d %s", o.status, o.message)
			}
			maps.Copy(want, patch)
			wantData(t, m.read("config"), asRead(want))
		})
	}
}

// As in a JSON merge patch, null takes a value away, which leaves the default.
func TestConfigPatchWithNull(t *testing.T) {
	for field, want := range map[string]any{
		"token_reviewer_jwt":                "",
		"pem_keys":                          []string{},
		"issuer":                            "",
		"disable_iss_validation":            true,
		"use_annotations_as_alias_metadata": false,
		"kubernetes_ca_cert":                "",
	} {
		t.Run(field, func(t *testing.T) {
			m := newMount(t)
			config := m.allConfig()
			m.write("config", config)
			if o := m.do(logical.PatchOperation, "config", fields{field: nil}); o.status != http.StatusOK {
				t.Fatalf("%d %s", o.status, o.message)
			}
			config[field] = want
			wantData(t, m.read("config"), asRead(config))
		})
	}
}

func TestReviewerTokenIsNeverReturned(t *testing.T) {
	m := newMount(t)
	secret := m.api.Reviewer
	for _, o := range []outcome{
		m.write("config", m.config(nil)),
		m.do(logical.ReadOperation, "config", nil),
		m.do(logical.PatchOperation, "config", fields{"issuer": "x"}),
		m.do(logical.UpdateOperation, "config", m.config(fields{"kubernetes_host": ""})),
		m.do(logical.UpdateOperation, "config", m.config(fields{"kubernetes_ca_cert": "garbage"})),
	} {
		if text := fmt.Sprint(o); strings.Contains(text, secret) {
			t.Errorf("it is in %s", text)
		}
	}
	m.logs.WantNone(t, secret)
	if !strings.Contains(m.storage.text(t, "config"), secret) {
		t.Error("it is not stored")
	}
}

// Patches of different fields at the same time must not undo each other.
func TestConfigPatchesAtTheSameTime(t *testing.T) {
	m := newMount(t)
	m.write("config", m.config(nil))
	patches := map[string]any{
		"issuer":                            "https://issuer",
		"disable_iss_validation":            false,
		"use_annotations_as_alias_metadata": true,
		"kubernetes_ca_cert":                "",
	}
	var all sync.WaitGroup
	for field, value := range patches {
		all.Go(func() {
			for range 10 {
				if o := m.do(logical.PatchOperation, "config", fields{field: value}); o.status != http.StatusOK {
					t.Errorf("%s: %d %s", field, o.status, o.message)
				}
			}
		})
	}
	all.Wait()
	wantData(t, m.read("config"), asRead(m.config(patches)))
}

// A change that was refused, or could not be stored, leaves the mount as it was.
func TestConfigThatCannotBeStored(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token())
	m.storage.fail("config")
	for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation, logical.DeleteOperation, logical.ReadOperation} {
		if o := m.do(operation, "config", m.config(nil)); o.status != http.StatusInternalServerError {
			t.Errorf("%s: %d %s", operation, o.status, o.message)
		}
	}
	m.storage.fail("")
	m.mustLogin(m.token())
}

// Vault's own method reads what is written here: the same keys with values of the
// same types, and no others.
func TestConfigIsStoredAsVaultStoresIt(t *testing.T) {
	for name, row := range map[string]struct {
		config fields
		want   string
	}{
		"all fields": {
			config: fields{
				"kubernetes_host": "https://k8s.example.com", "kubernetes_ca_cert": "CA", "token_reviewer_jwt": "a.b.c", "pem_keys": []string{"KEY"},
				"issuer": "https://issuer", "disable_iss_validation": false, "disable_local_ca_jwt": true, "use_annotations_as_alias_metadata": true,
			},
			want: `{"ca_cert":"CA","disable_iss_validation":false,"disable_local_ca_jwt":true,"host":"https://k8s.example.com",
				"issuer":"https://issuer","pem_keys":["KEY"],"token_reviewer_jwt":"a.b.c","use_annotations_as_alias_metadata":true}`,
		},
		"host only": {
			config: fields{"kubernetes_host": "https://k8s.example.com", "disable_local_ca_jwt": true},
			want: `{"ca_cert":"","disable_iss_validation":true,"disable_local_ca_jwt":true,"host":"https://k8s.example.com",
				"issuer":"","pem_keys":[],"token_reviewer_jwt":"","use_annotations_as_alias_metadata":false}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			placeholders := strings.NewReplacer("CA", m.api.CAPEM, "KEY", trimmedPEM(m.api.ECDSAKey()))
			if row.config["kubernetes_ca_cert"] != nil {
				row.config["kubernetes_ca_cert"] = m.api.CAPEM
				row.config["pem_keys"] = []string{trimmedPEM(m.api.ECDSAKey())}
			}
			m.write("config", row.config)
			var want any
			if err := json.Unmarshal([]byte(row.want), &want); err != nil {
				t.Fatal(err)
			}
			for key, value := range want.(fields) {
				switch value := value.(type) {
				case string:
					want.(fields)[key] = placeholders.Replace(value)
				case []any:
					for i := range value {
						value[i] = placeholders.Replace(value[i].(string))
					}
				}
			}
			wantJSON(t, m.storage.text(t, "config"), want.(fields))
		})
	}
}

// wantJSON compares a stored entry, field by field.
func wantJSON(t *testing.T, stored string, want fields) {
	t.Helper()
	var got fields
	if err := json.Unmarshal([]byte(stored), &got); err != nil {
		t.Fatalf("stored is %q: %v", stored, err)
	}
	wantData(t, got, want)
}
