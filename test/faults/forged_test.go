package faults

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestForgedTokens floods a mount with forged tokens, beside clients that log in
// with good ones. The role and the config make a login look up the namespace and
// the service account, which a forged token must never cause.
func TestForgedTokens(t *testing.T) {
	t.Run("with the cluster's key", func(t *testing.T) {
		testForgedTokens(t, fields{"pem_keys": []string{kube.SigningPublicKeyPEM}}, func(forgery) int { return 0 })
	})
	t.Run("without keys", func(t *testing.T) {
		testForgedTokens(t, fields{"pem_keys": []string{}}, func(kind forgery) int {
			if kind.parses {
				return 1
			}
			return 0
		})
	})
}

// On a machine that is busy with nothing else, each client gets its share of the
// processors, so as many forgers as others would halve the others' rate whatever
// the plugin did. With half as many a fair share is two thirds, and less than half
// means that a forged token costs more than a good one or holds up a queue.
const (
	forgers     = 4
	legitimates = 8
)

// testForgedTokens asserts how many reviews a forged token may cause at most.
func testForgedTokens(t *testing.T, keys fields, mostReviews func(forgery) int) {
	count := int64(scaled(1000, 5000, 100000))
	alone := scaled(3*time.Second, 5*time.Second, 15*time.Second)
	api, m := newWatcher(t), newMount(t)
	m.configure(t, api.url, api.caPEM, fields{"use_annotations_as_alias_metadata": true}, keys)
	m.must(t, http.MethodPost, "auth/"+m.path+"/role/"+roleName, fields{
		"bound_service_account_namespaces":         []string{},
		"bound_service_account_namespace_selector": `{"matchLabels":{"vault":"yes"}}`,
	})
	good := make([]string, legitimates)
	for i := range good {
		good[i] = kube.newToken(t)
		if a := m.login(t, good[i]); a.status != http.StatusOK { // warms up, too
			t.Fatalf("a good token: %v", a)
		}
	}

	sizeBefore := pluginOf(t, bed.Vault.PID)
	flood := newFlood(t, m, count)
	checkThroughput(t, m, good, flood, alone)
	checkRequests(t, api, good, flood, mostReviews)
	sizeAfter := look(t, sizeBefore.pid)
	t.Logf("before: %v; after: %v", sizeBefore, sizeAfter)
	if grown := (sizeAfter.rssKiB - sizeBefore.rssKiB) >> 10; grown > 64 {
		t.Errorf("the plugin's memory grew by %d MiB", grown)
	}
	if lines := linesAbout(t, m); len(lines) > 0 {
		t.Errorf("strangers made the log at its default level say %+v", lines)
	}
}

// checkThroughput compares the rate of good logins beside a flood with their usual one.
// What else a machine does can make that look worse than it is and never better, so a
// bad figure is measured again, with a flood as long; it has to be good once.
func checkThroughput(t *testing.T, m mount, good []string, flood *flood, alone time.Duration) {
	t.Helper()
	const attempts, share = 3, 0.5
	var kept float64
	for attempt := range attempts {
		if attempt > 0 {
			flood.refill()
		}
		usual, beside := measureThroughput(t, m, good, flood, alone)
		kept = beside.perSecond() / usual.perSecond()
		t.Logf("%d forged tokens at %.0f a second; good logins a second: %.0f alone, %.0f beside them (%.0f %%)",
			flood.count, float64(flood.count)/beside.took.Seconds(), usual.perSecond(), beside.perSecond(), 100*kept)
		if kept >= share {
			return
		}
	}
	t.Errorf("good logins fell to %.0f %% of their usual rate", 100*kept)
}

// measureThroughput sends the flood in rounds, so that what else the machine does
// meanwhile weighs on both sides of the comparison.
func measureThroughput(t *testing.T, m mount, good []string, flood *flood, alone time.Duration) (usual, beside rate) {
	t.Helper()
	const rounds = 5
	for range rounds {
		usual.add(legitimateRate(t, m, good, func() { time.Sleep(alone / rounds) }))
		beside.add(legitimateRate(t, m, good, func() { flood.run(flood.count / rounds) }))
	}
	return usual, beside
}

// checkRequests compares what the API server got with what was sent to Vault.
func checkRequests(t *testing.T, api *watcher, good []string, flood *flood, mostReviews func(forgery) int) {
	t.Helper()
	reviews, others := api.seen()
	caused := map[string]int{}
	for token, times := range reviews {
		if slices.Contains(good, token) {
			continue
		}
		kind, known := flood.sent[token]
		if !known {
			t.Errorf("a review of a token that nobody sent: %.80q", token)
		}
		if times > mostReviews(kind) {
			t.Errorf("%s: %d reviews of one token, want at most %d", kind.name, times, mostReviews(kind))
		}
		caused[kind.name] += times
	}
	t.Logf("reviews by kind of forgery: %v", caused)
	namespace := "GET /api/v1/namespaces/" + kube.namespace
	allowed := []string{namespace, namespace + "/serviceaccounts/" + kube.account}
	for target, times := range others {
		if !slices.Contains(allowed, target) {
			t.Errorf("the API server got %d times %q", times, target)
		} else if most := sum(reviews, good); times > most {
			t.Errorf("%d times %s for %d good logins", times, target, most)
		}
	}
}

func sum(counts map[string]int, keys []string) (total int) {
	for _, key := range keys {
		total += counts[key]
	}
	return total
}

// flood is a number of forged tokens that are sent as fast as Vault takes them.
type flood struct {
	t     *testing.T
	m     mount
	count int64 // of one filling
	done  int64 // so far

	forger *forger
	mu     sync.Mutex
	sent   map[string]forgery
	signed chan string // made beforehand: signing costs more than being refused
}

func newFlood(t *testing.T, m mount, count int64) *flood {
	t.Helper()
	f := &flood{t: t, m: m, count: count, forger: newForger(t), sent: map[string]forgery{}}
	f.refill()
	return f
}

// refill prepares as many again.
func (f *flood) refill() {
	f.signed = make(chan string, f.count)
	for n := range f.count {
		if f.forger.pick(n).name == "wrong key" {
			f.signed <- f.forger.wrongKey()
		}
	}
}

// run sends the next ones of the flood.
func (f *flood) run(count int64) {
	var next atomic.Int64
	next.Store(f.done)
	f.done += count
	var clients sync.WaitGroup
	for range forgers {
		clients.Go(func() {
			for n := next.Add(1) - 1; n < f.done && !f.t.Failed(); n = next.Add(1) - 1 {
				f.send(f.forger.pick(n))
			}
		})
	}
	clients.Wait()
}

func (f *flood) send(kind forgery) {
	var token string
	if kind.name == "wrong key" {
		token = <-f.signed
	} else {
		token = kind.make()
	}
	if kind.parses { // the others are too many, and too long, to be kept
		f.mu.Lock()
		f.sent[token] = kind
		f.mu.Unlock()
	}
	if a := f.m.login(f.t, token); a.status != http.StatusForbidden {
		f.t.Errorf("%s: want 403, got %v", kind.name, a)
	}
}

// rate is a number of logins in a time.
type rate struct {
	logins int64
	took   time.Duration
}

func (r *rate) add(more rate)     { r.logins += more.logins; r.took += more.took }
func (r rate) perSecond() float64 { return float64(r.logins) / r.took.Seconds() }

// legitimateRate counts the logins that the good clients make while during runs.
func legitimateRate(t *testing.T, m mount, tokens []string, during func()) (r rate) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var logins atomic.Int64
	var clients sync.WaitGroup
	for _, token := range tokens {
		clients.Go(func() {
			for ctx.Err() == nil {
				if a := m.login(t, token); a.status != http.StatusOK {
					t.Errorf("a good login: %v", a)
				}
				logins.Add(1)
			}
		})
	}
	start := time.Now()
	during()
	r = rate{logins: logins.Load(), took: time.Since(start)}
	cancel()
	clients.Wait()
	return r
}
