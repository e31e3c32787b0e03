package faults

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/chaos"
	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestProcessesUnderLoad has clients log in while what they log in at ends and begins
// anew.
func TestProcessesUnderLoad(t *testing.T) {
	onlyLong(t)
	lasting := bounded(20 * time.Second)
	jwt := kube.newToken(t)
	b := newTable(t, "processes", lasting, chaos.Column{Title: "allowed"}, chaos.Column{Title: "failed"},
		chaos.Column{Title: "longest time without a login, s", Decimals: 1}, chaos.Column{Title: "slowest login, s", Decimals: 1})
	for i, method := range methods {
		v := newVault(t, nil)
		m := newMountAt(t, v.Addr, v.RootToken, method, named(method, i), newServer(t, after(10*time.Millisecond, vouches), false))
		m.mustLogin(t)
		burst := m.atOnce(t, 2000, jwt)
		b.add("2,000 logins at once", method, float64(burst.allowed()), float64(burst.refused()), chaos.None, burst.slowest().Seconds())
		if method == ours && burst.refused() > 0 {
			t.Errorf("of 2,000 logins at once these were refused: %v", burst.statuses())
		}
		for _, row := range []struct {
			name  string
			every time.Duration
			only  string
			do    func()
		}{
			{"the plugin is killed every two seconds", 2 * time.Second, ours, func() {
				for _, pid := range pluginPIDs(t, v.PID) {
					_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
				}
			}},
			{"the mount is reloaded every three seconds", 3 * time.Second, "", func() {
				m.must(t, http.MethodPut, "sys/plugins/reload/backend", fields{"mounts": "auth/" + m.path + "/"})
			}},
			{"Vault is sealed for a second every five", 5 * time.Second, "", func() { sealFor(t, v, time.Second) }},
		} {
			if row.only != "" && row.only != method {
				continue
			}
			clients := newCrowd(t, m, 8, 100*time.Millisecond, roleName, jwt)
			for end := time.Now().Add(lasting); time.Now().Before(end); {
				wait(t.Context(), row.every)
				row.do()
			}
			wait(t.Context(), 2*time.Second)
			logins := clients.finish()
			clients.gone()
			b.add(row.name, method, float64(logins.allowed()), float64(logins.refused()), logins.gap().Seconds(), logins.slowest().Seconds())
			if a := m.login(t, jwt); a.status != http.StatusOK {
				t.Errorf("%s: afterwards a login is %v", row.name, a)
			}
		}
	}
	for i := range b.section.Rows { // what was not done to the other method
		if b.section.Rows[i].Theirs == nil {
			b.section.Rows[i].Theirs = []float64{chaos.None, chaos.None, chaos.None, chaos.None}
		}
	}
	b.keep(t)
}

// after answers with a delay.
func after(d time.Duration, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		next(w, r)
	}
}

// atOnce has as many clients log in at one moment, each once.
func (m mount) atOnce(t *testing.T, clients int, jwt string) (logins outcomes) {
	t.Helper()
	body, err := json.Marshal(fields{"role": roleName, "jwt": jwt})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var mu sync.Mutex
	now := make(chan struct{})
	for range clients {
		all.Go(func() {
			<-now
			begun := time.Now()
			a, err := askBy(t.Context(), client, m.addr, "", http.MethodPost, "auth/"+m.path+"/login", body)
			if err != nil {
				a.status = 0
			}
			mu.Lock()
			defer mu.Unlock()
			logins = append(logins, outcome{at: time.Now(), took: time.Since(begun), status: a.status})
		})
	}
	close(now)
	all.Wait()
	return logins
}

func sealFor(t *testing.T, v *testbed.Vault, d time.Duration) {
	t.Helper()
	root := mount{addr: v.Addr, token: v.RootToken}
	root.must(t, http.MethodPut, "sys/seal", nil)
	wait(t.Context(), d)
	root.must(t, http.MethodPut, "sys/unseal", fields{"key": v.UnsealKey})
}

// gap is the longest time between two logins that were allowed.
func (o outcomes) gap() (longest time.Duration) {
	var ends []time.Time
	for _, one := range o {
		if one.status == http.StatusOK {
			ends = append(ends, one.at)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	for i := 1; i < len(ends); i++ {
		longest = max(longest, ends[i].Sub(ends[i-1]))
	}
	return longest
}
