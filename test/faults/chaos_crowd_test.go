package faults

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// outcome is how one login of a crowd ended. Status 0 is for no answer of Vault's, and
// unanswered for one that was still waited for when the crowd left.
type outcome struct {
	at     time.Time
	took   time.Duration
	status int
}

const unanswered = -1

type outcomes []outcome

// crowd are clients that keep logging in, one login after the other.
type crowd struct {
	client *http.Client
	leave  context.CancelFunc // those under way hang up
	stop   context.CancelFunc // those under way are waited for
	all    sync.WaitGroup

	mu   sync.Mutex
	made outcomes
}

// newCrowd has clients log in at a mount. Who is refused waits for the pause, as clients
// of Vault do. They have connections of their own.
func newCrowd(t *testing.T, m mount, clients int, pause time.Duration, role, jwt string) *crowd {
	t.Helper()
	return newTravellers(t, []mount{m}, clients, pause, role, jwt)
}

// newTravellers is a crowd whose clients log in at one mount after the other, each of
// them having begun somewhere else.
func newTravellers(t *testing.T, mounts []mount, clients int, pause time.Duration, role, jwt string) *crowd {
	t.Helper()
	login := fields{"jwt": jwt}
	if role != "" {
		login["role"] = role
	}
	body, err := json.Marshal(login)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: clients}}}
	var here, wanted context.Context
	here, c.leave = context.WithCancel(context.Background())
	wanted, c.stop = context.WithCancel(here)
	t.Cleanup(c.gone)
	for client := range clients {
		c.all.Go(func() {
			for turn := client * len(mounts) / clients; wanted.Err() == nil; turn++ {
				m := mounts[turn%len(mounts)]
				begun := time.Now()
				a, err := askBy(here, c.client, m.addr, "", http.MethodPost, "auth/"+m.path+"/login", body)
				switch {
				case here.Err() != nil:
					a.status = unanswered
				case err != nil:
					a.status = 0
				}
				c.mu.Lock()
				c.made = append(c.made, outcome{at: time.Now(), took: time.Since(begun), status: a.status})
				c.mu.Unlock()
				if a.status != http.StatusOK {
					wait(wanted, pause)
				}
			}
		})
	}
	return c
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// patience is how long a crowd waits for what is under way when it is to leave: longer
// than two attempts of a login here.
const patience = 12 * time.Second

// finish begins no more logins, waits for those under way and returns how all ended.
func (c *crowd) finish() outcomes { return c.finishWithin(patience) }

func (c *crowd) finishWithin(d time.Duration) outcomes {
	c.stop()
	defer time.AfterFunc(d, c.leave).Stop()
	c.all.Wait()
	return c.gather()
}

// gone has the clients hang up, and closes their connections.
func (c *crowd) gone() {
	c.leave()
	c.all.Wait()
	c.client.CloseIdleConnections()
}

// gather is how logins ended up to now.
func (c *crowd) gather() outcomes {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.made)
}

// between are those that ended at a time.
func (o outcomes) between(from, to time.Time) (some outcomes) {
	for _, one := range o {
		if !one.at.Before(from) && one.at.Before(to) {
			some = append(some, one)
		}
	}
	return some
}

func (o outcomes) allowed() (n int) { return o.count(http.StatusOK) }

func (o outcomes) count(status int) (n int) {
	for _, one := range o {
		if one.status == status {
			n++
		}
	}
	return n
}

// refused are those that were not allowed.
func (o outcomes) refused() int { return len(o) - o.allowed() }

// statuses are how many there are of each but 200.
func (o outcomes) statuses() map[int]int {
	found := map[int]int{}
	for _, one := range o {
		if one.status != http.StatusOK {
			found[one.status]++
		}
	}
	return found
}

// p99 is that of the logins that were allowed.
func (o outcomes) p99() time.Duration {
	var all []time.Duration
	for _, one := range o {
		if one.status == http.StatusOK {
			all = append(all, one.took)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}

// slowest is the one that took longest, whatever it ended in.
func (o outcomes) slowest() (longest time.Duration) {
	for _, one := range o {
		longest = max(longest, one.took)
	}
	return longest
}
