package faults

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestHangingAPIServer has an API server that takes all that it is sent and never
// answers. That must cost the logins that need it, and nobody else.
func TestHangingAPIServer(t *testing.T) {
	t.Run("silent from the first byte", func(t *testing.T) {
		api := newProxy(t, kube.Host)
		api.hang(t)
		testHanging(t, api.url, kube.CAPEM)
	})
	t.Run("answers pings and no request", func(t *testing.T) {
		api := newFakeAPI(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		testHanging(t, api.url, api.caPEM)
	})
}

// stuck is how many logins hang at any time during the measurement.
const stuck = 20

func testHanging(t *testing.T, host, caPEM string) {
	const deadline = 20 * time.Second // twice the default of request_timeout
	sick, healthy := newMount(t), newMount(t)
	sick.configure(t, host, caPEM)
	healthy.configure(t, kube.Host, kube.CAPEM)
	healthy.mustLogin(t)
	token := kube.newToken(t)

	ctx, enough := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	took := make(chan time.Duration, 1000)
	for range stuck {
		clients.Go(func() {
			for ctx.Err() == nil {
				a := sick.login(t, token)
				if a.status != http.StatusServiceUnavailable || a.took > deadline+allowed(t, time.Second) {
					t.Errorf("want a 503 within %v, got %v", deadline, a)
				}
				took <- a.took
			}
		})
	}
	time.Sleep(500 * time.Millisecond) // for the logins to be on their way
	measureOthers(t, sick, healthy, host, caPEM, token)
	if len(took) > 0 {
		t.Error("logins ended already: what was measured was not measured beside hanging ones")
	}
	enough()
	clients.Wait()
	close(took)
	t.Logf("%d logins took at most %v", stuck, maxOf(took))
}

// measureOthers asserts how long requests take that need not the sick cluster.
func measureOthers(t *testing.T, sick, healthy mount, host, caPEM, token string) {
	auth := func(m mount, method, path string, body any) func() (answer, error) {
		return func() (answer, error) { return ask(m.addr, m.token, method, "auth/"+m.path+"/"+path, body) }
	}
	for _, row := range []struct {
		name string
		send func() (answer, error)
	}{
		{"read config", auth(sick, http.MethodGet, "config", nil)},
		{"write config", auth(sick, http.MethodPost, "config", config(host, caPEM))},
		{"read role", auth(sick, http.MethodGet, "role/"+roleName, nil)},
		{"write role", auth(sick, http.MethodPost, "role/"+roleName, role())},
		{"log in on another mount", func() (answer, error) { return healthy.tryLogin(token) }},
	} {
		var all []time.Duration
		for range 100 {
			a, err := row.send()
			if err != nil || a.status >= http.StatusBadRequest {
				t.Fatalf("%s: %v, %v", row.name, a, err)
			}
			all = append(all, a.took)
		}
		slices.Sort(all)
		p50, p99 := all[49], all[98]
		t.Logf("%s: median %v, 99th percentile %v, slowest %v", row.name, p50, p99, all[99])
		if p99 > allowed(t, 100*time.Millisecond) {
			t.Errorf("%s: the 99th percentile is %v, over 100ms", row.name, p99)
		}
	}
}
