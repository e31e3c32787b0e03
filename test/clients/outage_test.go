package clients

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// outageEnv is how many clients of each kind TestOutage has wait.
const outageEnv = "CLIENTS_OUTAGE"

// TestOutage has many clients log in while the API server hangs for a minute: Vault Agents,
// and as many that log in with vault/api again and again. It tells how many TokenReviews reached
// the API server meanwhile, and how soon the first and the last was in after it came back.
func TestOutage(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv(outageEnv))
	if err != nil || count < 1 {
		t.Skip(outageEnv + " says how many clients of each kind wait; it takes minutes")
	}
	front := newFront(t)
	m := newMount(t, settings{host: front.url, caPEM: front.caPEM, role: fields{"token_ttl": "1h"}})
	front.set(hanging)
	for i := range count {
		p := m.place(byRules)
		p.dir = t.TempDir()
		agent("agent", agentConfig)(t, p)
		goWatcher(t, p)
		if i%10 == 9 {
			t.Logf("%d of each are started", i+1)
		}
	}
	down := time.Now()
	time.Sleep(time.Minute) // the outage itself
	returned := time.Now()
	front.set(passing)
	first, last := awaitAll(t, m, 2*count, returned)

	var during int
	for _, at := range front.reviews() {
		if at.After(down.Add(10*time.Second)) && at.Before(returned) { // it is known to be down by then
			during++
		}
	}
	rate := float64(during) / returned.Sub(down.Add(10*time.Second)).Seconds()
	fmt.Printf("%d agents and %d clients of vault/api, an outage of a minute: %.1f reviews a second once it was known, "+
		"the first login %.1f s after its end, the last %.1f s; logins by outcome: %v\n",
		count, count, rate, first.Seconds(), last.Seconds(), m.logins())
	if rate > 2 {
		t.Errorf("%.1f reviews a second reached an API server that is known to be down", rate)
	}
	if first > 2*time.Second {
		t.Errorf("the first login was %v after the API server came back", first)
	}
}

// awaitAll waits until so many logins were allowed, and tells when the first and the last was.
func awaitAll(t *testing.T, m *mount, count int, since time.Time) (first, last time.Duration) {
	t.Helper()
	var once sync.Once
	for time.Since(since) < 3*time.Minute {
		allowed := m.logins()["allowed"]
		if allowed > 0 {
			once.Do(func() { first = time.Since(since) })
		}
		if allowed >= count {
			return first, time.Since(since)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%v logins of %d", m.logins(), count)
	return 0, 0
}
