package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/chaos"
)

// TestReloadsOfManyMounts has clients log in on 20 mounts while these are reloaded, as in an
// upgrade: one of them, all in one request, and one after the other.
func TestReloadsOfManyMounts(t *testing.T) {
	onlyLong(t)
	const many = 20
	jwt := kube.newToken(t)
	b := newTable(t, "reloads", bounded(10*time.Second), chaos.Column{Title: "logins"}, chaos.Column{Title: "failed"},
		chaos.Column{Title: "longest time without a login, s", Decimals: 1}, chaos.Column{Title: "the reloads took, s", Decimals: 1})
	for i, method := range methods {
		v := newVault(t, nil)
		well := newServer(t, after(10*time.Millisecond, vouches), false)
		var mounts []mount
		var paths []string
		for n := range many {
			m := newMountAt(t, v.Addr, v.RootToken, method, fmt.Sprintf("%s-%d", named(method, i), n), well)
			m.mustLogin(t)
			mounts, paths = append(mounts, m), append(paths, "auth/"+m.path+"/")
		}
		reload := func(paths ...string) {
			mounts[0].must(t, http.MethodPut, "sys/plugins/reload/backend", fields{"mounts": strings.Join(paths, ",")})
		}
		for _, row := range []struct {
			name string
			do   func()
		}{
			{"one of 20 mounts is reloaded", func() { reload(paths[0]) }},
			{"20 mounts are reloaded in one request", func() { reload(paths...) }},
			{"20 mounts are reloaded one after the other", func() {
				for _, path := range paths {
					reload(path)
				}
			}},
		} {
			var clients []*crowd
			for _, m := range mounts {
				clients = append(clients, newCrowd(t, m, 1, 100*time.Millisecond, roleName, jwt))
			}
			wait(t.Context(), bounded(10*time.Second)/2)
			begun := time.Now()
			row.do()
			took := time.Since(begun)
			wait(t.Context(), bounded(10*time.Second)/2)
			var logins outcomes
			for _, c := range clients {
				logins = append(logins, c.finish()...)
				c.gone()
			}
			t.Logf("%s, %s: %d logins, failed %v", row.name, method, logins.allowed(), logins.statuses())
			b.add(row.name, method, float64(logins.allowed()), float64(logins.refused()), logins.gap().Seconds(), took.Seconds())
			if last := mounts[0].login(t, jwt); last.status != http.StatusOK {
				t.Errorf("%s: afterwards a login is %v", row.name, last)
			}
		}
	}
	b.keep(t)
}
