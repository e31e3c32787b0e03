package e2e

import (
	"net/http"
	"reflect"
	"slices"
	"testing"
)

// newLoginMounts are two mounts for the main cluster with a role `app` for a new
// service account, and a token of that account.
func newLoginMounts(t testing.TB, role fields) (m mounts, jwt string) {
	t.Helper()
	c := mainCluster(t)
	m = newMounts(t)
	a := c.newAccount(t, "", "app", nil)
	m.must(t, http.MethodPost, "config", c.config())
	m.must(t, http.MethodPost, "role/app", with(fields{
		"bound_service_account_names":      a.name,
		"bound_service_account_namespaces": a.namespace,
		"audience":                         audience,
	}, role))
	return m, c.newToken(t, a, audience)
}

// issue logs in and returns the Vault token.
func (m mount) issue(t testing.TB, role, jwt string) string {
	t.Helper()
	a := m.login(t, fields{"role": role, "jwt": jwt})
	token, _ := a.auth()["client_token"].(string)
	if token == "" {
		t.Fatalf("no token from auth/%s/login: %v", m.path, a)
	}
	return secret("Vault token", token)
}

// renew renews a token with the root token, since not every token may do so itself.
func renew(t testing.TB, token string, increment int) answer {
	t.Helper()
	return shared().renew(t, token, increment)
}

func (s server) renew(t testing.TB, token string, increment int) answer {
	t.Helper()
	return s.send(t, http.MethodPost, "auth/token/renew", fields{"token": token, "increment": increment})
}

// renewalOrphan is the difference that TestRenewal shows.
const renewalOrphan = "renewal-orphan"

func TestRenewal(t *testing.T) {
	t.Parallel()
	m, jwt := newLoginMounts(t, fields{"token_ttl": 600, "token_max_ttl": 3600, "token_policies": "app"})
	builtin, ours := m.builtin.issue(t, "app", jwt), m.ours.issue(t, "app", jwt)
	expect := func(t *testing.T, increment, status, atLeast, atMost int) {
		t.Helper()
		a, b := renew(t, builtin, increment), renew(t, ours, increment)
		if a.Status != status || b.Status != status || !slices.Equal(a.errors(), b.errors()) {
			t.Fatalf("the built-in answers %v\nthis plugin answers %v\nwant %d", a, b, status)
		}
		if status != http.StatusOK {
			return
		}
		for _, answer := range []answer{a, b} {
			// JSON numbers are float64.
			if got := int(answer.auth()["lease_duration"].(float64)); got < atLeast || got > atMost {
				t.Errorf("renewed for %d seconds, want %d to %d: %v", got, atLeast, atMost, answer)
			}
		}
		for _, key := range []string{"policies", "token_policies", "metadata", "renewable", "token_type", "num_uses"} {
			want, got := a.auth()[key], b.auth()[key]
			if key == "metadata" {
				got = withoutCredentialID(t, got)
			}
			if !reflect.DeepEqual(want, got) {
				t.Errorf("%s: the built-in has %v, this plugin %v", key, want, got)
			}
		}
		if a.auth()["orphan"] != true || b.auth()["orphan"] != false {
			t.Errorf("difference %q: the built-in has %v, this plugin %v", renewalOrphan, a.auth()["orphan"], b.auth()["orphan"])
		}
	}
	expect(t, 900, http.StatusOK, 900, 900)
	expect(t, 0, http.StatusOK, 600, 600)
	// The seconds that the test takes are gone.
	expect(t, 9999, http.StatusOK, 3480, 3600)
	m.must(t, http.MethodPost, "role/app", fields{"token_ttl": 300, "token_max_ttl": 1800})
	expect(t, 0, http.StatusOK, 300, 300)
	expect(t, 9999, http.StatusOK, 1680, 1800)
	m.must(t, http.MethodPost, "role/app", fields{"token_period": 120})
	expect(t, 0, http.StatusOK, 120, 120)
	for _, token := range []string{builtin, ours} {
		if token := must(t, http.MethodPost, "auth/token/lookup", fields{"token": token}); token.data()["orphan"] != true {
			t.Errorf("a renewed token is no orphan any more: %v", token)
		}
	}
	m.must(t, http.MethodDelete, "role/app", nil)
	expect(t, 0, http.StatusInternalServerError, 0, 0)
	m.must(t, http.MethodPost, "role/app", fields{
		"bound_service_account_names": "nobody", "bound_service_account_namespaces": "nowhere", "token_ttl": 240,
	})
	expect(t, 0, http.StatusOK, 240, 240)
}

// quotaCase is the difference that TestRoleQuota shows.
const quotaCase = "quota-case"

// TestRoleQuota sets a rate limit for one role of a mount, for which Vault asks the
// method which role a login names.
func TestRoleQuota(t *testing.T) {
	t.Parallel()
	m, jwt := newLoginMounts(t, fields{"token_policies": "app"})
	m.must(t, http.MethodPost, "role/free", fields{
		"bound_service_account_names": "app", "bound_service_account_namespaces": "*", "audience": audience,
	})
	for _, mount := range m.both() {
		t.Run(mount.plugin, func(t *testing.T) {
			quota := "sys/quotas/rate-limit/" + mount.path
			must(t, http.MethodPost, quota, fields{"path": "auth/" + mount.path, "role": "app", "rate": 1, "interval": "1h"})
			for i, want := range []struct {
				role   string
				status int
			}{
				{"app", http.StatusOK},
				{"app", http.StatusTooManyRequests},
				{"free", http.StatusOK},
				{"free", http.StatusOK},
				{"app", http.StatusTooManyRequests},
				{"App", http.StatusTooManyRequests}, // quotaCase
				{"unknown", http.StatusBadRequest},
				{"", http.StatusBadRequest},
			} {
				if want.role == "App" && mount == m.builtin {
					want.status = http.StatusOK
				}
				if a := mount.login(t, fields{"role": want.role, "jwt": jwt}); a.Status != want.status {
					t.Errorf("login %d as %q: %v, want %d", i, want.role, a, want.status)
				}
			}
			must(t, http.MethodDelete, quota, nil)
			mount.issue(t, "app", jwt)
		})
	}
}
