package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/chaos"
	"vault-plugin-auth-kubernetes/test/testbed"
)

// bounded is how long a section takes that is asked for with a length of its own, unless
// the whole suite is to be shorter.
func bounded(d time.Duration) time.Duration { return min(d, 3*(*chaosFor)) }

// TestResettingForLong has 50 clients log in at one API server that resets its answers, for a
// minute and a half.
func TestResettingForLong(t *testing.T) {
	onlyLong(t)
	lasting := bounded(90 * time.Second)
	v := newVault(t, nil)
	jwt := kube.newToken(t)
	b := newTable(t, "resetting", lasting, chaos.Column{Title: "connections made"}, chaos.Column{Title: "open at most"},
		chaos.Column{Title: "open at the end"}, chaos.Column{Title: "logins that failed"}, chaos.Column{Title: "memory grew by MiB"})
	for i, method := range methods {
		s := newServer(t, truncate, false)
		m := newMountAt(t, v.Addr, v.RootToken, method, named(method, i), s)
		pid := v.PID
		if method == ours {
			pid = pluginOf(t, v.PID).pid
		}
		clients := newCrowd(t, m, 50, 100*time.Millisecond, roleName, jwt)
		wait(t.Context(), 10*time.Second) // to its usual size
		before := look(t, pid)
		wait(t.Context(), lasting)
		after, open := look(t, pid), s.open.Load()
		failed := clients.finish().refused()
		clients.gone()
		grown := float64(after.rssKiB-before.rssKiB) / 1024
		b.add("resets in the answer, 50 clients", method, float64(s.made.Load()), float64(s.most.Load()), float64(open), float64(failed), grown)
		if method == ours && (s.most.Load() > 20 || s.made.Load() > 200 || grown > 20) {
			t.Errorf("%d connections were made, %d open at a time; memory grew by %.0f MiB", s.made.Load(), s.most.Load(), grown)
		}
	}
	b.keep(t)
}

// TestDescriptors has 20 mounts whose API servers are sick in every way, and 20 healthy
// ones, in processes that may open 256 files. The healthy API servers are restarted once.
func TestDescriptors(t *testing.T) {
	onlyLong(t)
	lasting := bounded(60 * time.Second)
	b := newTable(t, "descriptors", lasting, chaos.Column{Title: "healthy: logins"}, chaos.Column{Title: "failed"},
		chaos.Column{Title: "failed in the second of the restart"}, chaos.Column{Title: "failed afterwards"},
		chaos.Column{Title: "descriptors at most"})
	for _, method := range methods {
		f := newFew(t, method, 256, 20)
		f.run(t, lasting/2)
		restart := time.Now()
		f.restart(t)
		restarted := time.Now().Add(time.Second)
		f.run(t, lasting/2)
		logins := f.end(t)
		during, later := logins.between(restart, restarted), logins.between(restarted, time.Now())
		b.add("20 sick mounts, 20 healthy, ulimit -n 256", method, float64(logins.allowed()), float64(logins.refused()),
			float64(during.refused()), float64(later.refused()), float64(f.most))
		t.Logf("%s: healthy mounts refused %v", method, logins.statuses())
		if failed := logins.refused() - during.refused(); method == ours && (failed > 0 || later.allowed() == 0) {
			t.Errorf("%d healthy logins failed, %d were allowed after the restart", failed, later.allowed())
		}
	}
	b.keep(t)
}

// few is a Vault with few descriptors, and clients on its mounts.
type few struct {
	v             *testbed.Vault
	method        string
	cancel        func()
	servers       []*server // the healthy ones
	healthy, sick []*crowd
	most          int // descriptors at a time
}

// newFew has so many healthy mounts, with a client each, and as many sick ones, with two.
func newFew(t *testing.T, method string, descriptors, each int) *few {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &few{method: method, cancel: cancel}
	var err error
	f.v, err = bed.StartVaultApart(ctx, func(o *testbed.VaultOptions) { o.Descriptors = descriptors })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.v.Stop() }) // where the test does not get to its end
	jwt, all := kube.newToken(t), treatments()
	const letNobodyIn = 9 // of the treatments
	var mounts [2][]mount
	for n := range each {
		s := newServer(t, vouches, false)
		f.servers = append(f.servers, s)
		mounts[0] = append(mounts[0], newMountAt(t, f.v.Addr, f.v.RootToken, method, named(method, n)+"-healthy", s))
		s = all[n%letNobodyIn].start(ctx, t)
		mounts[1] = append(mounts[1], newMountAt(t, f.v.Addr, f.v.RootToken, method, named(method, n)+"-sick", s, fields{"request_timeout": 2}))
	}
	for n := range each {
		f.healthy = append(f.healthy, newCrowd(t, mounts[0][n], 1, 100*time.Millisecond, roleName, jwt))
		f.sick = append(f.sick, newCrowd(t, mounts[1][n], 2, 100*time.Millisecond, roleName, jwt))
	}
	return f
}

// run lets the clients go on, and looks at the descriptors.
func (f *few) run(t *testing.T, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); wait(t.Context(), time.Second) {
		f.most = max(f.most, descriptorsOf(t, f.v, f.method))
	}
}

// restart restarts the healthy API servers, all at once.
func (f *few) restart(t *testing.T) {
	t.Helper()
	var restarting sync.WaitGroup
	for _, s := range f.servers {
		restarting.Go(func() { s.restart(t) })
	}
	restarting.Wait()
}

// end returns how the logins on healthy mounts ended.
func (f *few) end(t *testing.T) (logins outcomes) {
	t.Helper()
	for _, c := range f.healthy {
		logins = append(logins, c.finish()...)
		c.gone()
	}
	for _, c := range f.sick {
		c.gone()
	}
	f.cancel()
	if err := f.v.Stop(); err != nil {
		t.Error(err)
	}
	return logins
}

// descriptorsOf is how many files the process has open that the method runs in.
func descriptorsOf(t *testing.T, v *testbed.Vault, method string) int {
	t.Helper()
	pid := v.PID
	if method == ours {
		pid = pluginOf(t, v.PID).pid
	}
	return openFiles(t, pid)
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	links, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(links)
}

// TestThrottled has 400 clients ask an API server that lets in 20 in each second.
func TestThrottled(t *testing.T) {
	onlyLong(t)
	lasting := bounded(30 * time.Second)
	v := newVault(t, nil)
	jwt := kube.newToken(t)
	b := newTable(t, "throttled", lasting, chaos.Column{Title: "requests"}, chaos.Column{Title: "logins"},
		chaos.Column{Title: "requests for each", Decimals: 2}, chaos.Column{Title: "refused"})
	for i, method := range methods {
		s := newServer(t, lettingIn(20), false)
		m := newMountAt(t, v.Addr, v.RootToken, method, named(method, i), s)
		clients := newCrowd(t, m, 400, time.Second, roleName, jwt)
		wait(t.Context(), lasting)
		logins := clients.finishWithin(40 * time.Second) // two attempts of 10 s each may take so long
		each := float64(s.requests.Load()) / float64(max(1, logins.allowed()))
		b.add("20 let in a second, 400 clients", method, float64(s.requests.Load()), float64(logins.allowed()), each, float64(logins.refused()))
		if method == ours && (each > 1.5 || logins.allowed() == 0) {
			t.Errorf("%d requests for %d logins", s.requests.Load(), logins.allowed())
		}
		if other := logins.refused() - logins.count(http.StatusServiceUnavailable); method == ours && other > 0 {
			t.Errorf("logins ended as %v, want 503 alone", logins.statuses())
		}
	}
	b.keep(t)
}
