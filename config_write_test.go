package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

// ofClientCertificate is about the fields that are in the place of token_reviewer_jwt, which
// TestClientCertificateIsWritten is for, and about those tokens of a reviewer that the mount makes,
// which TestReviewerIsConfigured is for.
func ofClientCertificate(field string) bool {
	return field == "kubernetes_client_cert" || field == "kubernetes_client_key" || field == "token_reviewer_service_account" || field == "token_reviewer_ttl"
}

// added has a value that is not the default for every field of the configuration that
// Vault's own method does not have.
func added() fields {
	return fields{
		"require_audience": true, "cluster_name": "prod", "service_name_annotation": "example.com/name",
		"map_namespaces": true, "consul_namespace_prefix": "k8s-", "consul_namespace_overrides": map[string]string{"a": "b"},
		"request_timeout": int64(7), "max_concurrent_reviews": 9, "renewal_check": "none", "tls_server_name": "kubernetes.default.svc",
		"proxy_url": "http://proxy.example:3128", "verification": "keys_then_review", "token_review_cache_ttl": int64(11),
		"binding_rule_audiences": []string{"vault"}, "binding_rule_role": "gate",
		"max_token_lifetime": int64(3600), "require_pod_bound_tokens": true, "refuse_legacy_tokens": true, "prefer_login_reviewer_jwt": true,
	}
}

// addedLocally are the same of ways to verify, which exclude each other.
func addedLocally(m *mount) []fields {
	return []fields{
		{"verification": "live", "live_staleness": int64(20)},
		{"verification": "keys", "verification_accept": []string{"not_pod_bound"}, "max_token_lifetime": int64(7200)},
		{"verification": "keys", "max_token_lifetime": int64(3900), "oidc_discovery_url": "https://issuer.example", "jwks_ca_pem": m.api.CAPEM},
		{"verification": "live", "live_staleness": int64(10), "jwks_url": "https://keys.example", "issuer": "https://issuer.example"},
	}
}

// The same for how tokens are verified: no write may switch it back by saying nothing.
func TestConfigWriteKeepsTheVerification(t *testing.T) {
	m := newMount(t)
	for _, set := range addedLocally(m) {
		m.do(logical.DeleteOperation, "config", nil)
		m.write("config", m.config(set))
		wantData(t, m.read("config"), asRead(m.config(set)))
		again := fields{}
		if issuer, ok := set["issuer"]; ok {
			again["issuer"] = issuer
		}
		m.write("config", m.config(again))
		wantData(t, m.read("config"), asRead(m.config(set)))
		reset := fields{"issuer": ""}
		for field := range set {
			reset[field] = ""
		}
		m.write("config", m.config(reset))
		wantData(t, m.read("config"), asRead(m.config(nil)))
	}
}

// Whoever writes Vault's fields knows of no others, and switches none of them off.
func TestConfigWriteKeepsWhatVaultDoesNotHave(t *testing.T) {
	m := newMount(t)
	locally := fields{}
	for _, set := range addedLocally(m) {
		maps.Copy(locally, set)
	}
	for _, field := range config.AddedFields() {
		_, here := added()[field]
		_, there := locally[field]
		if !here && !there && !ofClientCertificate(field) {
			t.Errorf("%s has no value here", field)
		}
	}
	m.write("role/gate", fields{"only_by_binding_rules": true})
	m.write("config", m.config(added()))
	want := asRead(m.config(added()))
	wantData(t, m.read("config"), want)

	o := m.write("config", m.config(fields{"issuer": "https://issuer"}))
	want["issuer"] = "https://issuer"
	wantData(t, m.read("config"), want)
	if o.warnings != nil {
		t.Errorf("warnings: %q", o.warnings)
	}
	o = m.write("config", m.config(fields{"cluster_name": "other"}))
	if len(o.warnings) != 1 || !strings.Contains(o.warnings[0], "now at their defaults are issuer.") {
		t.Errorf("the issuer is gone, and the answer says %q", o.warnings)
	}
	want["issuer"], want["cluster_name"] = "", "other"
	wantData(t, m.read("config"), want)
}

// An empty value, or null, resets one; in a write as in a patch.
func TestConfigFieldsAreReset(t *testing.T) {
	defaults := asRead(nil)
	for name, write := range map[string]func(*mount, fields) outcome{
		"write": func(m *mount, f fields) outcome {
			all := m.config(nil)
			for field, value := range f {
				all[field] = value
			}
			return m.write("config", all)
		},
		"patch": func(m *mount, f fields) outcome {
			o := m.do(logical.PatchOperation, "config", f)
			if o.status != http.StatusOK {
				m.t.Fatalf("%d %s", o.status, o.message)
			}
			return o
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("role/gate", fields{"only_by_binding_rules": true})
			reset := func(f fields) {
				m.write("config", m.config(added()))
				o := write(m, f)
				want := asRead(m.config(added()))
				for field := range f {
					want[field] = defaults[field]
				}
				wantData(t, m.read("config"), want)
				for _, warning := range o.warnings { // what is gone is told, in TestEmptyValuesAreLoud
					if field, _, told := strings.Cut(warning, " was named with an empty value"); !told || len(o.warnings) > len(f) || f[field] != nil && f[field] != "" {
						t.Errorf("%v: warnings %q", f, o.warnings)
					}
				}
			}
			for _, field := range config.AddedFields() {
				if field == "map_namespaces" || ofClientCertificate(field) {
					continue // the prefix goes with it, below; a certificate takes the place of the token
				}
				reset(fields{field: nil})
				reset(fields{field: ""})
			}
			reset(fields{"map_namespaces": false, "consul_namespace_prefix": "", "consul_namespace_overrides": ""})
			m.write("config", m.config(added()))
			all := m.config(fields{"map_namespaces": false})
			if o := m.do(logical.UpdateOperation, "config", all); o.status != http.StatusBadRequest || !strings.Contains(o.message, `consul_namespace_prefix="" consul_namespace_overrides=""`) {
				t.Errorf("map_namespaces without the prefix: %d %s", o.status, o.message)
			}
		})
	}
}

// What an import stored has no list of keys, which is as good as an empty one.
func TestNothingIsLostOfAnEmptyList(t *testing.T) {
	m := newMount(t)
	m.storage.put(t, "config", `{"host":"https://k8s.example.com","pem_keys":null,"disable_iss_validation":true,"disable_local_ca_jwt":true}`)
	if o := m.write("config", fields{"kubernetes_host": "https://k8s.example.com", "disable_local_ca_jwt": true}); o.warnings != nil {
		t.Errorf("%q", o.warnings)
	}
}

// A stored configuration that cannot be read must not keep a new one from being written.
func TestConfigWriteOverDamage(t *testing.T) {
	m := newMount(t)
	m.storage.put(t, "config", "{")
	m.write("config", m.config(nil))
	wantData(t, m.read("config"), asRead(m.config(nil)))
}

// A write that changes nothing leaves the connection as it is; any other makes a new one.
func TestEqualConfigWriteKeepsTheConnection(t *testing.T) {
	m := newDemo(t, added(), nil)
	connection := func() *cluster.Cluster {
		c, err := m.cluster.Get(t.Context(), m.storage)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := connection()
	m.write("config", m.config(nil))
	m.do(logical.PatchOperation, "config", fields{"cluster_name": "prod"})
	m.do(logical.PatchOperation, "config", fields{})
	if connection() != before {
		t.Error("a write that changes nothing made a new connection")
	}
	m.write("config", m.config(fields{"cluster_name": "other"}))
	if connection() == before {
		t.Error("a write that changes something did not")
	}
	// What is in memory may not be what is stored, after trouble with storage: then a
	// write that storage has already counts.
	m.storage.put(t, "config", strings.Replace(m.storage.text(t, "config"), `"other"`, `"stored"`, 1))
	m.write("config", m.config(fields{"cluster_name": "stored"}))
	if got := connection().Config.ClusterName; got != "stored" {
		t.Errorf("logins go on with %q", got)
	}
}

// A write of the whole configuration that leaves the reviewer's token out takes it away,
// as in Vault's own method. It is loud until somebody says what is meant.
func TestDroppedReviewerIsLoud(t *testing.T) {
	const warning = "token_reviewer_jwt was not named"
	warned := func(o outcome) bool {
		return len(o.warnings) == 1 && strings.HasPrefix(o.warnings[0], warning)
	}
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token())
	m.logs.Take()
	withoutReviewer := m.config(fields{"token_reviewer_jwt": nil})
	if o := m.write("config", withoutReviewer); !warned(o) {
		t.Errorf("the write answers %q", o.warnings)
	}
	if logged := m.logs.One(t); logged.Level != hclog.Warn || !strings.Contains(logged.Message, "token_reviewer_jwt") || logged.Fields["remedy"] == "" {
		t.Errorf("logged %s", logged)
	}
	wantCheck(t, m.checked(), "reviewer", "fail", "did not name token_reviewer_jwt", "vault patch auth/test/config token_reviewer_jwt=@reviewer.jwt")
	for what, token := range map[string]string{
		"401": m.token(), "403": m.token(kubetest.Audience("vault", m.api.Issuer)),
	} {
		m.log = telemetry.NewLog() // each is the first of its kind
		m.logs.Take()
		wantRefused(t, m.login("demo", token), http.StatusForbidden)
		if logged := m.logs.One(t); logged.Level != hclog.Warn || logged.Fields["class"] != "no reviewer" || !strings.Contains(logged.Fields["reason"], "took the reviewer's token away") {
			t.Errorf("%s: logged %s", what, logged)
		}
		if o := m.do(logical.UpdateOperation, "explain", fields{"role": "demo", "jwt": token}); !strings.Contains(fmt.Sprint(o.data["remedy"]), "set token_reviewer_jwt") {
			t.Errorf("%s: explained %v", what, o.data)
		}
	}

	// It stands through other writes and patches, here and on another node.
	if o := m.write("config", m.config(fields{"token_reviewer_jwt": nil, "issuer": "https://issuer"})); !warned(o) {
		t.Errorf("the next write answers %q", o.warnings)
	}
	m.do(logical.PatchOperation, "config", fields{"cluster_name": "east"})
	m.InvalidateKey(t.Context(), "config")
	wantCheck(t, m.checked(), "reviewer", "fail")

	for name, say := range map[string]func() outcome{
		"a write that names none": func() outcome { return m.write("config", m.config(fields{"token_reviewer_jwt": ""})) },
		"a patch that names none": func() outcome { return m.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": ""}) },
		"a patch with null":       func() outcome { return m.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": nil}) },
	} {
		m.write("config", m.config(nil))
		m.write("config", withoutReviewer)
		if o := say(); o.status != http.StatusOK || o.warnings != nil {
			t.Errorf("%s: %d %q", name, o.status, o.warnings)
		}
		data := m.checked()
		wantCheck(t, data, "reviewer", "warn", "none is configured, each login reviews itself", "vault patch auth/test/config token_reviewer_jwt=@reviewer.jwt")
		wantCheck(t, data, "configuration", "pass", "none, each login reviews itself")
		if o := m.write("config", withoutReviewer); o.warnings != nil {
			t.Errorf("%s, and a write after it: %q", name, o.warnings)
		}
		if strings.Contains(m.storage.text(t, "config"), "reviewer_dropped") {
			t.Errorf("%s: the note is stored still", name)
		}
	}
	m.write("config", m.config(nil))
	wantCheck(t, m.checked(), "reviewer", "pass", "system:serviceaccount:kube-system:reviewer")
}

// Where the files of a pod serve in its place, nothing is lost.
func TestDroppedReviewerWithFilesOfAPod(t *testing.T) {
	m := newDemo(t, fields{"disable_local_ca_jwt": false}, nil)
	if err := os.WriteFile(filepath.Join(m.podFolder, "token"), []byte(m.api.Reviewer), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := m.write("config", m.config(fields{"disable_local_ca_jwt": false, "token_reviewer_jwt": nil})); o.warnings != nil {
		t.Errorf("%q", o.warnings)
	}
	m.mustLogin(m.token())
	if strings.Contains(m.storage.text(t, "config"), "reviewer_dropped") {
		t.Error("a note is stored")
	}
}
