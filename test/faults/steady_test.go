package faults

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSteadyStateReadsNoStorage counts what logins read of Vault's storage once the
// mount knows its entries: by the plugin's own metrics, and by those of Vault, for the
// whole server and beside Vault's own method.
func TestSteadyStateReadsNoStorage(t *testing.T) {
	v := newVault(t, fields{"telemetry": fields{"prometheus_retention_time": "1h", "disable_hostname": true}})
	api := newFakeAPI(t, vouches)
	logins, jwt := scaled(300, 1000, 10_000), kube.newToken(t)
	rules := revocations(api, api)[2]
	for _, method := range []string{ours, builtIn} {
		m := newMountIn(t, v, method, api)
		roles, entries := []string{roleName, "second", "third"}, 4 // config beside them
		for _, name := range roles {
			m.mustSend(t, request{http.MethodPost, "role/" + name, role()})
		}
		if method == ours {
			for _, name := range []string{"first", "second"} {
				m.mustSend(t, rules.grant(name))
			}
			roles, entries = append(roles, ""), entries+2
		}
		m.logInAs(t, roles, len(roles), jwt)
		began, before, beforeAll := time.Now(), m.storageLoads(t, method), m.barrierReads(t)
		m.logInAs(t, roles, logins, jwt)
		loads, all := m.storageLoads(t, method)-before, m.barrierReads(t)-beforeAll
		// Each entry may be looked at once a minute.
		minutes := int(time.Since(began)/time.Minute) + 1
		t.Logf("%s: %d logins, %v loads by the plugin, %v reads of Vault's storage in all", method, logins, loads, all)
		switch {
		case method == ours && loads > float64(entries*minutes):
			t.Errorf("%d logins read %v entries of storage", logins, loads)
		// Vault itself reads one for each login. Its own method reads two more, which
		// shows that they would be counted.
		case method == ours && all > 1.1*float64(logins):
			t.Errorf("%d logins made Vault read %v entries of storage", logins, all)
		case method == builtIn && all < 2*float64(logins):
			t.Errorf("Vault counts %v reads for %d logins of its own method; it shows nothing", all, logins)
		}
	}
}

// logInAs logs in so many times, under each of the roles in turn.
func (m mount) logInAs(t *testing.T, roles []string, logins int, jwt string) {
	t.Helper()
	const clients = 8
	var group sync.WaitGroup
	for first := range clients {
		group.Go(func() {
			for n := first; n < logins; n += clients {
				a, err := m.tryLoginAs(roles[n%len(roles)], jwt)
				if err != nil || a.status != http.StatusOK {
					t.Errorf("login: %v, %v", a, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// storageLoads is what the plugin counts; 0 for Vault's own method, which does not.
func (m mount) storageLoads(t *testing.T, method string) float64 {
	t.Helper()
	if method != ours {
		return 0
	}
	return m.metric(t, "auth/"+m.path+"/metrics", "vault_kubernetes_auth_storage_loads_total")
}

// barrierReads is how many entries Vault's core has been asked for.
func (m mount) barrierReads(t *testing.T) float64 {
	t.Helper()
	return m.metric(t, "sys/metrics?format=prometheus", "vault_barrier_get_count")
}

// metric is the sum of all series of a counter.
func (m mount) metric(t *testing.T, path, name string) (sum float64) {
	t.Helper()
	text, found := m.must(t, http.MethodGet, path, nil).body, false
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		metric, _, _ := strings.Cut(series, "{")
		if metric != name {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		found, sum = true, sum+number
	}
	if !found {
		t.Fatalf("%s has no %s:\n%.3000s", path, name, text)
	}
	return sum
}
