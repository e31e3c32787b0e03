package faults

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReloadOfOneMount reloads one mount while pods log in on others. Vault ends the
// process of all of them for it, and starts another; clients must not notice, neither one
// whose login takes milliseconds, nor one whose API server takes longer than the process
// waits before it ends.
func TestReloadOfOneMount(t *testing.T) {
	vault := newVault(t, nil)
	slowly := func(pause time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(pause)
			vouches(w, r)
		}
	}
	newMount := func(path string, pause time.Duration) mount {
		m := mount{path: path, addr: vault.Addr, token: vault.RootToken}
		m.enable(t)
		api := newFakeAPI(t, slowly(pause))
		m.configure(t, api.url, api.caPEM)
		return m
	}
	reloaded := newMount("reloaded", 0)
	slow := newMount("slow", 3*time.Second)
	mounts := []mount{newMount("quick", 0), newMount("usual", 10*time.Millisecond), slow}
	jwt := kube.newToken(t)

	const clients = 4 // of each mount
	logins := make([]atomic.Int64, clients*len(mounts))
	var failed atomic.Int64
	over := make(chan struct{})
	var running sync.WaitGroup
	for i := range logins {
		m := mounts[i/clients]
		running.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if a := m.login(t, jwt); a.status != http.StatusOK {
					t.Logf("login on %s: %v", m.path, a)
					failed.Add(1)
				}
				logins[i].Add(1)
			}
		})
	}
	total := func() (all []int64) {
		for i := range logins {
			all = append(all, logins[i].Load())
		}
		return all
	}
	for range scaled(2, 5, 50) {
		before := total()
		reloaded.must(t, http.MethodPut, "sys/plugins/reload/backend", fields{"mounts": "auth/" + reloaded.path + "/"})
		// A request that was cut off twice is sent no third time.
		await(t, "a login of each client", func() bool {
			for i, now := range total() {
				if now == before[i] {
					return false
				}
			}
			return true
		})
	}
	close(over)
	running.Wait()
	made := int64(0)
	for _, n := range total() {
		made += n
	}
	// Between the moment when a connection closes and the one when Vault knows of the end
	// of the process lies a millisecond that is not the plugin's.
	t.Logf("%d of %d logins on the other mounts failed; by client: %v", failed.Load(), made, total())
	if failed.Load()*1000 > made {
		t.Errorf("%d of %d logins failed, want one in a thousand at most", failed.Load(), made)
	}
}
