package faults

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clientPause is between the attempts of one client, so that fifty of them are a
// load and not a measurement of how fast refusals can be made.
const clientPause = 50 * time.Millisecond

// phase is what the API server is doing.
type phase int32

const (
	up phase = iota
	changing
	down
	returning // it is there, and it may not be known yet
	back
)

// load is a number of clients that keep logging in.
type load struct {
	phase             atomic.Int32
	recovered         chan time.Time // the first success after the outage
	succeeded, failed atomic.Int64
	stop              func()
}

// newLoad starts clients. What they get while the API server is down must be a
// 5xx; before and after, a token.
func newLoad(t *testing.T, m mount, token string, clients int) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{recovered: make(chan time.Time, 1)}
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for ctx.Err() == nil {
				l.attempt(t, m, token)
				time.Sleep(clientPause)
			}
		})
	}
	l.stop = func() { cancel(); group.Wait() }
	t.Cleanup(l.stop)
	return l
}

func (l *load) enter(p phase) { l.phase.Store(int32(p)) }

func (l *load) attempt(t *testing.T, m mount, token string) {
	before := phase(l.phase.Load())
	a := m.login(t, token)
	after := phase(l.phase.Load())
	if a.status == http.StatusOK {
		l.succeeded.Add(1)
		if before == down && after == down {
			t.Errorf("a login succeeded during the outage: %v", a)
		}
		if after == returning {
			select {
			case l.recovered <- time.Now():
			default: // not the first
			}
		}
		return
	}
	l.failed.Add(1)
	// An attempt that saw both of two phases may get either's answer.
	if before == after && (after == up || after == back) {
		t.Errorf("a login failed although the API server was there: %v", a)
	}
	if a.status < http.StatusInternalServerError {
		t.Errorf("want a 5xx during the outage, got %v", a)
	}
}

// TestOutageUnderLoad takes the API server away, so that connections are refused,
// and gives it back. That it is back is noticed by the login that is let through next,
// within a second; from then on none fails.
func TestOutageUnderLoad(t *testing.T) {
	outage := scaled(10*time.Second, 60*time.Second, 60*time.Second)
	api, m := newProxy(t, kube.Host), newMount(t)
	m.configure(t, api.url, kube.CAPEM)
	m.mustLogin(t)

	clients := newLoad(t, m, kube.newToken(t), 50)
	time.Sleep(scaled(5*time.Second, 10*time.Second, 20*time.Second)) // to its steady size
	before := pluginOf(t, bed.Vault.PID)

	clients.enter(changing) // no answer is wrong at this moment
	api.Stop()
	time.Sleep(time.Second)
	clients.enter(down)
	time.Sleep(outage)
	during := pluginOf(t, bed.Vault.PID)
	if err := api.Start(); err != nil {
		t.Fatal(err)
	}
	returned := time.Now()
	clients.enter(returning)

	awaitRecovery(t, clients, returned)
	clients.enter(back)
	time.Sleep(scaled(5*time.Second, 10*time.Second, 20*time.Second))
	after := pluginOf(t, bed.Vault.PID)
	clients.stop()
	t.Logf("%d logins succeeded, %d failed; before: %v; during: %v; after: %v",
		clients.succeeded.Load(), clients.failed.Load(), before, during, after)
	if clients.failed.Load() == 0 {
		t.Error("no login failed: there was no outage")
	}
	checkFootprint(t, before, after)
	checkLogRate(t, m, outage)
}

func awaitRecovery(t *testing.T, clients *load, returned time.Time) {
	t.Helper()
	select {
	case first := <-clients.recovered:
		took := first.Sub(returned)
		t.Logf("the first login after the outage succeeded %v after its end", took)
		if took > allowed(t, time.Second) {
			t.Errorf("the first success came %v after the end of the outage", took)
		}
	case <-time.After(time.Minute):
		t.Fatal("no login succeeded for a minute after the outage")
	}
}

// checkFootprint compares two moments under the same load. What it allows is the
// noise of a garbage collector and of a scheduler; a leak of one object for each
// of the thousands of failed logins is far beyond it.
func checkFootprint(t *testing.T, before, after footprint) {
	t.Helper()
	if after.pid != before.pid {
		t.Errorf("the plugin was restarted: pid %d, then %d", before.pid, after.pid)
	}
	if grown := (after.rssKiB - before.rssKiB) >> 10; grown > 24 {
		t.Errorf("the plugin's memory grew by %d MiB", grown)
	}
	if after.threads > before.threads+10 {
		t.Errorf("the plugin had %d threads and has %d", before.threads, after.threads)
	}
	if after.sockets > before.sockets+5 {
		t.Errorf("the plugin had %d sockets open and has %d", before.sockets, after.sockets)
	}
}

// checkLogRate bounds what an outage writes: each kind of trouble gets a line in
// ten seconds, however many logins it hits.
func checkLogRate(t *testing.T, m mount, outage time.Duration) {
	t.Helper()
	byClass := map[string]int{}
	for _, line := range linesAbout(t, m) {
		byClass[line.Class]++
	}
	t.Logf("lines in the log by class: %v", byClass)
	if byClass["connection"] == 0 {
		t.Error("the log says nothing of the refused connections")
	}
	for class, lines := range byClass {
		if most := int(outage/(10*time.Second)) + 2; lines > most {
			t.Errorf("%d lines of class %q, want at most %d", lines, class, most)
		}
	}
}
