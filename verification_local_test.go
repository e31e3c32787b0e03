package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// What is followed begins at once.
func init() { liveJitter = 0 }

// newLocal is a mount that verifies tokens by itself, with a pod to bind them to.
func newLocal(t *testing.T, config fields) *mount {
	t.Helper()
	m := newDemo(t, config, nil)
	m.api.AddPod("apps", "web-1", "node-1")
	return m
}

// boundToken is a token of the pod, as it is projected for Vault.
func (m *mount) boundToken(changes ...kubetest.Change) string {
	return m.token(append([]kubetest.Change{m.api.BoundToPod("web-1")}, changes...)...)
}

// A login by keys asks the API server for its keys once, and for nothing else.
func TestVerificationByKeys(t *testing.T) {
	m := newLocal(t, fields{"verification": "keys"})
	for range 5 {
		auth := m.mustLogin(m.boundToken())
		if auth.Metadata["verified_by"] != "keys" || auth.Metadata["pod_name"] != "web-1" || auth.Alias.Metadata["verified_by"] != "" {
			t.Fatalf("metadata %v, of the alias %v", auth.Metadata, auth.Alias.Metadata)
		}
	}
	if got := len(m.api.Requests()); got != 2 || m.api.Count(kubetest.SigningKeys) != 1 || m.api.Count(kubetest.Discovery) != 1 {
		t.Errorf("%d requests: %v", got, m.api.Requests())
	}
	m.api.Fail(kubetest.CloseConnection())
	m.mustLogin(m.boundToken()) // nobody is asked
	m.api.Heal()
	if got := m.verifications("keys", "confirmed"); got != 6 {
		t.Errorf("%d are counted", got)
	}
	// What revocation means here.
	token := m.boundToken()
	m.api.DeletePod("apps", "web-1")
	m.api.DeleteServiceAccount("apps", "web")
	m.mustLogin(token)
}

// verifications is how many tokens were judged so.
func (m *mount) verifications(by, result string) (count int) {
	for _, metric := range m.scrape()["vault_kubernetes_auth_verifications_total"].GetMetric() {
		if labels := metric.GetLabel(); labels[0].GetValue() == by && labels[1].GetValue() == result {
			count += int(metric.GetCounter().GetValue())
		}
	}
	return count
}

// Each guard refuses, and is switched off by its own name and by no other.
func TestGuardsOfKeys(t *testing.T) {
	long := func(m *mount) string { return m.boundToken(kubetest.Lifetime(2 * time.Hour)) }
	guards := map[string]func(*mount) string{
		"any_issuer":    func(m *mount) string { return m.boundToken(kubetest.Claim("iss", "https://other.example")) },
		"no_audience":   func(m *mount) string { m.write("role/demo", fields{"audience": ""}); return m.boundToken() },
		"not_pod_bound": func(m *mount) string { return m.token() },
		"long_lived":    long,
		"unknown_claims": func(m *mount) string {
			return m.boundToken(func(d *kubetest.Draft) { d.Claims["kubernetes.io"].(map[string]any)["podgroup"] = "x" })
		},
	}
	for name, token := range guards {
		t.Run(name, func(t *testing.T) {
			m := newLocal(t, fields{"verification": "keys"})
			wantRefused(t, m.login("demo", token(m)), http.StatusForbidden)
			others := slices.DeleteFunc([]string{"any_issuer", "no_audience", "not_pod_bound", "long_lived", "unknown_claims"}, func(o string) bool { return o == name })
			m.write("config", fields{"verification_accept": others, "kubernetes_host": m.api.URL, "kubernetes_ca_cert": m.api.CAPEM, "token_reviewer_jwt": m.api.Reviewer, "disable_local_ca_jwt": true})
			wantRefused(t, m.login("demo", token(m)), http.StatusForbidden)
			m.write("config", m.config(fields{"verification_accept": name}))
			m.mustLogin(token(m))
			if got := m.api.Count(kubetest.TokenReviews); got != 0 {
				t.Errorf("%d reviews", got)
			}
		})
	}
	m := newLocal(t, fields{"verification": "keys", "verification_accept": "any_issuer,no_audience,not_pod_bound,long_lived,unknown_claims"})
	wantRefused(t, m.login("demo", m.api.LegacyToken("apps", "web", "legacy", kubetest.Audience("vault"))), http.StatusForbidden)
	wantRefused(t, m.login("demo", m.boundToken(m.api.BoundToSecret("s"))), http.StatusForbidden)
	m.write("config", m.config(fields{"verification_accept": "", "max_token_lifetime": "3h"}))
	m.mustLogin(long(m))
}

// Forgeries get nowhere, and the API server sees none of them.
func TestForgeriesByKeys(t *testing.T) {
	m := newLocal(t, fields{"verification": "keys"})
	m.mustLogin(m.boundToken())
	m.api.Forget()
	stranger := kubetest.NewECDSAKey()
	pretender := stranger
	pretender.ID = m.api.ECDSAKey().ID
	for name, token := range map[string]string{
		"by a known name": m.boundToken(kubetest.SignedWith(pretender)),
		"shared secret":   m.boundToken(kubetest.SignedWith(kubetest.SharedSecret(m.api.ECDSAKey().PublicPEM()))),
		"unsigned":        kubetest.Forge(map[string]any{"alg": "none"}, map[string]any{"iss": m.api.Issuer}, nil),
		"expired":         m.boundToken(kubetest.Expiry(time.Now().Add(-2 * time.Minute))),
		"other audience":  m.boundToken(kubetest.Audience("other")),
	} {
		wantRefused(t, m.login("demo", token), http.StatusForbidden)
		if got := len(m.api.Requests()); got != 0 {
			t.Errorf("%s: %d requests", name, got)
		}
	}
}

func TestKeysThatAreInTheConfiguration(t *testing.T) {
	m := newMount(t)
	m.api.AddPod("apps", "web-1", "")
	m.write("role/demo", m.role(nil))
	m.write("config", m.config(fields{"verification": "keys", "pem_keys": []string{m.api.ECDSAKey().PublicPEM()}, "issuer": m.api.Issuer}))
	m.mustLogin(m.boundToken())
	wantRefused(t, m.login("demo", m.boundToken(kubetest.SignedWith(kubetest.NewECDSAKey()))), http.StatusForbidden)
	if got := len(m.api.Requests()); got != 0 {
		t.Errorf("%d requests", got)
	}
}

// Where a cluster publishes its keys elsewhere, its API server need not be there at all.
func TestKeysFromElsewhere(t *testing.T) {
	m := newLocal(t, nil)
	var issuer string
	published := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": "https://" + r.Host + "/keys"})
		case "/keys":
			_, _ = w.Write(m.api.KeySet())
		default:
			http.Redirect(w, r, "/keys", http.StatusFound)
		}
	}))
	t.Cleanup(published.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: published.Certificate().Raw}))
	issuer = published.URL
	m.api.Fail(kubetest.CloseConnection())
	ofIssuer := func() string { return m.boundToken(kubetest.Claim("iss", issuer)) }

	m.write("config", m.config(fields{"verification": "keys", "jwks_url": published.URL + "/keys", "jwks_ca_pem": ca, "issuer": issuer}))
	m.mustLogin(ofIssuer())
	wantRefused(t, m.login("demo", m.boundToken()), http.StatusForbidden)

	m.write("config", m.config(fields{"jwks_url": "", "oidc_discovery_url": issuer}))
	m.mustLogin(ofIssuer())

	issuer = "https://somebody.else" // the document is of another than the one that was asked
	m.write("config", m.config(fields{"cluster_name": "anew"}))
	wantRefused(t, m.login("demo", m.boundToken(kubetest.Claim("iss", published.URL))), http.StatusServiceUnavailable)

	issuer = published.URL
	m.write("config", m.config(fields{"oidc_discovery_url": "", "jwks_url": published.URL + "/moved", "issuer": issuer}))
	wantRefused(t, m.login("demo", ofIssuer()), http.StatusServiceUnavailable)
	m.write("config", m.config(fields{"jwks_url": published.URL + "/keys", "jwks_ca_pem": "", "issuer": issuer}))
	wantRefused(t, m.login("demo", ofIssuer()), http.StatusServiceUnavailable)
}

func TestVerificationIsRefusedWhereItMeansNothing(t *testing.T) {
	for name, changes := range map[string]fields{
		"no such way":                 {"verification": "trust"},
		"no such guard":               {"verification": "keys", "verification_accept": "legacy"},
		"guards with live":            {"verification": "live", "verification_accept": "any_issuer"},
		"staleness with keys":         {"verification": "keys", "live_staleness": 10},
		"too fresh":                   {"verification": "live", "live_staleness": 1},
		"too stale":                   {"verification": "live", "live_staleness": 600},
		"a source with reviews":       {"jwks_url": "https://example.com", "issuer": "https://example.com"},
		"a source without an issuer":  {"verification": "keys", "jwks_url": "https://example.com"},
		"two sources":                 {"verification": "keys", "jwks_url": "https://example.com", "oidc_discovery_url": "https://example.com"},
		"not https":                   {"verification": "keys", "oidc_discovery_url": "http://example.com"},
		"a user in the URL":           {"verification": "keys", "oidc_discovery_url": "https://me:secret@example.com"},
		"a CA for nothing":            {"verification": "keys", "jwks_ca_pem": "x"},
		"remembered reviews":          {"verification": "live", "token_review_cache_ttl": 10},
		"a source twice, then review": {"verification": "keys_then_review", "jwks_url": "https://example.com", "pem_keys": "KEY"},
		"for a moment":                {"verification": "keys", "max_token_lifetime": 60},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			if changes["pem_keys"] != nil {
				changes["pem_keys"] = m.api.ECDSAKey().PublicPEM()
			}
			wantRefused(t, m.do("update", "config", m.config(changes)), http.StatusBadRequest)
		})
	}
}

// follow logs in until the cluster is followed, which begins with the first login.
func (m *mount) follow(t *testing.T) {
	t.Helper()
	for range 10_000 {
		if m.mustLogin(m.boundToken()).Metadata["verified_by"] == "live" {
			return
		}
	}
	t.Fatal("the cluster is not followed")
}

func TestVerificationLive(t *testing.T) {
	m := newLocal(t, fields{"verification": "live"})
	if _, ok := m.values()["live_age_seconds"]; ok {
		t.Error("a metric of the age of what nobody follows")
	}
	if by := m.mustLogin(m.boundToken()).Metadata["verified_by"]; by != "review" {
		t.Errorf("the first login, with nothing known: by %q", by)
	}
	m.follow(t)
	got := m.values()
	if age, ok := got["live_age_seconds"]; !ok || age < 0 || age > 10 || got["live_objects{pod}"] != 1 || got["live_objects{service_account}"] == 0 {
		t.Errorf("the metrics are %v", got)
	}
	m.api.Forget()
	m.mustLogin(m.boundToken())
	if got := m.api.Count(kubetest.TokenReviews); got != 0 {
		t.Errorf("%d reviews", got)
	}
	// In doubt the API server is asked.
	for name, change := range map[string]kubetest.Change{
		"another issuer": kubetest.Claim("iss", "https://other"),
		"unknown key":    kubetest.SignedWith(kubetest.NewECDSAKey()),
		"expires soon":   kubetest.Expiry(time.Now().Add(30 * time.Second)),
	} {
		m.api.Forget()
		m.login("demo", m.boundToken(change))
		if got := m.api.Count(kubetest.TokenReviews); got != 1 {
			t.Errorf("%s: %d reviews", name, got)
		}
	}
	m.write("role/open", m.role(fields{"audience": ""}))
	if auth := m.login("open", m.boundToken()).auth; auth == nil || auth.Metadata["verified_by"] != "review" {
		t.Error("a role without an audience was not left to the API server")
	}
	// What was seen deleted is refused, and the API server need not be there.
	token := m.boundToken()
	m.api.DeletePod("apps", "web-1")
	m.api.AddPod("apps", "web-1", "")
	refusedLocally := false
	for range 10_000 {
		m.api.Forget()
		// It may take the watch a moment, and until then yes is what it was told last.
		if refusedLocally = m.login("demo", token).auth == nil && m.api.Count(kubetest.TokenReviews) == 0; refusedLocally {
			break
		}
	}
	if !refusedLocally {
		t.Error("the deletion was never seen")
	}
	wantRefused(t, m.login("demo", token), http.StatusForbidden)
	// Without the permission everything goes on as reviews.
	m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.PodWatch, kubetest.ServiceAccountWatch)
	m.write("config", m.config(fields{"cluster_name": "anew"}))
	m.mustLogin(m.boundToken())
}

// A session ends with the configuration that asked for it, and with the mount.
func TestLiveEndsWithTheMount(t *testing.T) {
	m := newLocal(t, fields{"verification": "live", "cluster_name": "ends"})
	m.mustLogin(m.boundToken())
	before := liveSessions.Len()
	m.write("config", m.config(fields{"verification": "review"}))
	m.mustLogin(m.boundToken())
	if got := liveSessions.Len(); got != before-1 {
		t.Errorf("%d sessions after the configuration went, before %d", got, before)
	}
	m.write("config", m.config(fields{"verification": "live"}))
	m.mustLogin(m.boundToken())
	m.Cleanup(context.Background())
	if got := liveSessions.Len(); got != before-1 {
		t.Errorf("%d sessions after the mount went", got)
	}
}
