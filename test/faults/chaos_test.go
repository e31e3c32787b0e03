package faults

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/chaos"
	"vault-plugin-auth-kubernetes/test/testbed"
)

// measured is what came of a treatment.
type measured struct {
	server        *server
	sick, healthy outcomes
	lasted        time.Duration
	left          int64 // connections that were open afterwards
}

// TestSickAPIServers has clients log in on a mount whose API server is sick, and others
// on a healthy one beside it, with this plugin and with Vault's own method.
func TestSickAPIServers(t *testing.T) {
	lasting, clients, pause := 8*time.Second, 5, 400*time.Millisecond
	if *chaosLong {
		lasting, clients, pause = *chaosFor, 50, 100*time.Millisecond
	}
	v := newVault(t, nil)
	jwt := kube.newToken(t)
	all := treatments()
	results := make([][2]measured, len(all)) // by method
	var under [][2]*running
	for i, treated := range all {
		var both [2]*running
		for k, method := range methods {
			both[k] = treated.prepare(t, v, method, i)
			if *chaosLong { // one after the other
				both[k].begin(t, clients, pause, jwt)
				wait(t.Context(), lasting)
				results[i][k] = both[k].end()
			}
		}
		under = append(under, both)
	}
	if !*chaosLong { // all at once
		for i := range under {
			for k := range methods {
				under[i][k].begin(t, clients, pause, jwt)
			}
		}
		wait(t.Context(), lasting)
		for i := range under {
			for k := range methods { // none of them waits for another
				under[i][k].treated.stop()
				under[i][k].other.stop()
			}
		}
		var ending sync.WaitGroup
		for i := range under {
			for k := range methods {
				ending.Go(func() { results[i][k] = under[i][k].end() })
			}
		}
		ending.Wait()
	}
	for i, treated := range all {
		t.Run(treated.name, func(t *testing.T) { treated.check(t, results[i][0]) })
	}
	tell(t, all, results, lasting)
}

// running is a treatment that goes on.
type running struct {
	measured
	treatment               treatment
	sickMount, healthyMount mount
	treated, other          *crowd
	began                   time.Time
	ctx                     context.Context // of what happens meanwhile
	cancel                  func()
}

func (s treatment) prepare(t *testing.T, v *testbed.Vault, method string, n int) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{measured: measured{server: s.start(ctx, t)}, treatment: s, ctx: ctx, cancel: cancel}
	timeout := 2
	if s.works {
		timeout = 5 // for the sake of a machine that is busy
	}
	r.sickMount = newMountAt(t, v.Addr, v.RootToken, method, named(method, n)+"-sick", r.server, fields{"request_timeout": timeout})
	r.healthyMount = newMountAt(t, v.Addr, v.RootToken, method, named(method, n)+"-healthy", newServer(t, vouches, false))
	return r
}

func (r *running) begin(t *testing.T, clients int, pause time.Duration, jwt string) {
	t.Helper()
	if r.treatment.meanwhile != nil {
		r.treatment.meanwhile(r.ctx, t, r.sickMount, r.server)
	}
	r.began = time.Now()
	r.treated = newCrowd(t, r.sickMount, clients, pause, roleName, jwt)
	r.other = newCrowd(t, r.healthyMount, 2, pause, roleName, jwt)
}

// end waits for the logins that are under way.
func (r *running) end() measured {
	r.treated.stop()
	r.healthy = r.other.finish()
	r.sick = r.treated.finish()
	r.cancel()
	r.lasted = time.Since(r.began)
	r.left = r.server.open.Load()
	r.treated.gone()
	r.other.gone()
	return r.measured
}

// check holds the plugin to what it promises. None of it depends on how fast the machine
// is.
func (s treatment) check(t *testing.T, r measured) {
	t.Helper()
	seconds := r.lasted.Seconds()
	made, most, requests := r.server.made.Load(), r.server.most.Load(), r.server.requests.Load()
	t.Logf("%d connections, %d at a time, %d left; %d requests; %d allowed, refused %v; beside it %d, refused %v",
		made, most, r.left, requests, r.sick.allowed(), r.sick.statuses(), r.healthy.allowed(), r.healthy.statuses())
	if most > 20 {
		t.Errorf("%d connections were open at a time", most)
	}
	if !s.works && !s.lets && float64(made) > 20+2*seconds {
		t.Errorf("%d connections were made in %.0f seconds", made, seconds)
	}
	if requests > 2*int64(len(r.sick)) {
		t.Errorf("%d requests for %d logins, want two each at most", requests, len(r.sick))
	}
	if r.healthy.refused() > 0 || r.healthy.allowed() == 0 {
		t.Errorf("beside it, on a healthy mount, %d were allowed, refused %v", r.healthy.allowed(), r.healthy.statuses())
	}
	if other := r.sick.refused() - r.sick.count(http.StatusServiceUnavailable); other > 0 {
		t.Errorf("logins ended as %v, want 503 alone", r.sick.statuses())
	}
	switch allowed := r.sick.allowed(); {
	case s.works && (r.sick.refused() > 0 || allowed == 0):
		t.Errorf("%d logins were allowed, refused %v", allowed, r.sick.statuses())
	case s.lets && allowed == 0:
		t.Error("no login was allowed")
	case !s.works && !s.lets && allowed > 0:
		t.Errorf("%d logins were allowed: the API server is not sick", allowed)
	}
}

// tell shows what was measured.
func tell(t *testing.T, all []treatment, results [][2]measured, lasting time.Duration) {
	t.Helper()
	b := newTable(t, "servers", lasting,
		chaos.Column{Title: "connections made"}, chaos.Column{Title: "open at most"}, chaos.Column{Title: "open afterwards"},
		chaos.Column{Title: "requests a login", Decimals: 2}, chaos.Column{Title: "allowed"}, chaos.Column{Title: "503"},
		chaos.Column{Title: "other refusals"}, chaos.Column{Title: "not answered 12 s later"}, chaos.Column{Title: "slowest, s", Decimals: 1},
		chaos.Column{Title: "beside it: logins/s"}, chaos.Column{Title: "p99 ms"}, chaos.Column{Title: "refused"})
	for i, treated := range all {
		for k, method := range methods {
			r := results[i][k]
			if r.server == nil || len(r.sick) == 0 {
				continue // it failed, and said why
			}
			unavailable, waiting := r.sick.count(http.StatusServiceUnavailable), r.sick.count(unanswered)
			b.add(treated.name, method, float64(r.server.made.Load()), float64(r.server.most.Load()), float64(r.left),
				float64(r.server.requests.Load())/float64(len(r.sick)), float64(r.sick.allowed()), float64(unavailable),
				float64(r.sick.refused()-unavailable-waiting), float64(waiting), r.sick.slowest().Seconds(),
				float64(r.healthy.allowed())/lasting.Seconds(), ms(r.healthy.p99()), float64(r.healthy.refused()))
		}
	}
	b.keep(t)
}
