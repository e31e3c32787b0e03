package faults

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestSilentConnections is the failure behind most reports of outages that last a
// quarter of an hour: the node of an API server dies, or a firewall forgets its
// connections, and nobody tells Vault. Only what is established is affected.
func TestSilentConnections(t *testing.T) {
	for _, row := range []struct {
		name, requestTimeout string
		bound                time.Duration
	}{
		{"short timeout", "2s", 4 * time.Second},
		{"default timeout", "", 15 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			api, m := newProxy(t, kube.Host), newMount(t)
			more := fields{}
			if row.requestTimeout != "" {
				more["request_timeout"] = row.requestTimeout
			}
			m.configure(t, api.url, kube.CAPEM, more)
			m.mustLogin(t)
			tokens := make([]string, 20)
			for i := range tokens {
				tokens[i] = kube.newToken(t) // past the proxy
			}
			m.login(t, tokens[0]) // so that no link has been idle for long

			before := forgotten.Load()
			api.silence(t)
			await(t, "the connection to fall silent", func() bool { return forgotten.Load() >= before+2 }) // its two directions

			var clients sync.WaitGroup
			slowest := make(chan time.Duration, len(tokens))
			for _, token := range tokens {
				clients.Go(func() {
					a := m.login(t, token)
					if a.status != http.StatusOK || a.took > row.bound {
						t.Errorf("want a login within %v, got %v", row.bound, a)
					}
					slowest <- a.took
				})
			}
			clients.Wait()
			close(slowest)
			t.Logf("the slowest of %d logins took %v", len(tokens), maxOf(slowest))
			if a := m.login(t, tokens[0]); a.status != http.StatusOK || a.took > allowed(t, time.Second) {
				t.Errorf("the login after them should be a usual one, got %v", a)
			}
		})
	}
}

func maxOf(times <-chan time.Duration) (longest time.Duration) {
	for d := range times {
		longest = max(longest, d)
	}
	return longest.Round(time.Millisecond)
}
