package faults

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/chaos"
	"vault-plugin-auth-kubernetes/test/testbed"
)

// neighbourhood is a number of mounts, half of which are sick.
type neighbourhood struct {
	v             *testbed.Vault
	method, jwt   string
	healthy, sick []mount
}

// kindsOfSick are the treatments of which a sick half has its share.
func kindsOfSick() []func(context.Context, *testing.T) *server {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	return []func(context.Context, *testing.T) *server{
		always(hang), always(dribbling(time.Second)), always(truncate),
		func(_ context.Context, t *testing.T) *server { return newBlackhole(t) }, refusing,
	}
}

func newNeighbourhood(ctx context.Context, t *testing.T, method string, each int) *neighbourhood {
	t.Helper()
	n := &neighbourhood{method: method, jwt: kube.newToken(t), v: newVault(t, fields{
		"telemetry": fields{"prometheus_retention_time": "1h", "disable_hostname": true},
	})}
	kinds := kindsOfSick()
	well := newServer(t, vouches, false)
	for i := range each {
		n.healthy = append(n.healthy, newMountAt(t, n.v.Addr, n.v.RootToken, method, named(method, i)+"-healthy", well))
		n.sick = append(n.sick, newMountAt(t, n.v.Addr, n.v.RootToken, method, named(method, i)+"-sick", kinds[i%len(kinds)](ctx, t)))
	}
	for _, m := range n.healthy {
		m.mustLogin(t)
	}
	return n
}

// clients log in at some mounts, so many at each.
func (n *neighbourhood) clients(t *testing.T, mounts []mount, each int, pause time.Duration) (all []*crowd) {
	t.Helper()
	for _, m := range mounts {
		all = append(all, newCrowd(t, m, each, pause, roleName, n.jwt))
	}
	return all
}

// resources are what the processes hold: this plugin's and Vault's together.
type resources struct {
	descriptors, goroutines int
	memoryMiB               float64
}

func (n *neighbourhood) resources(t *testing.T) resources {
	t.Helper()
	m := n.healthy[0]
	r := resources{
		descriptors: openFiles(t, n.v.PID),
		goroutines:  int(m.metric(t, "sys/metrics?format=prometheus", "vault_runtime_num_goroutines")),
		memoryMiB:   float64(look(t, n.v.PID).rssKiB) / 1024,
	}
	if n.method == ours {
		pid := pluginOf(t, n.v.PID).pid
		r.descriptors += openFiles(t, pid)
		r.goroutines += int(m.metric(t, "auth/"+m.path+"/metrics", "go_goroutines"))
		r.memoryMiB += float64(look(t, pid).rssKiB) / 1024
	}
	return r
}

func gathered(all []*crowd) (logins outcomes) {
	for _, c := range all {
		logins = append(logins, c.gather()...)
	}
	return logins
}

// TestNeighboursOfSickMounts has 8 clients log in on 50 healthy mounts, each of them at one
// after the other, and then 1,000 on 50 sick ones as well.
func TestNeighboursOfSickMounts(t *testing.T) {
	onlyLong(t)
	const each, besides = 50, 1000
	lasting := bounded(25 * time.Second)
	b := newTable(t, "neighbours", lasting, chaos.Column{Title: "logins/s alone"}, chaos.Column{Title: "beside the sick"},
		chaos.Column{Title: "p99 ms alone"}, chaos.Column{Title: "beside the sick"}, chaos.Column{Title: "refused"},
		chaos.Column{Title: "descriptors before"}, chaos.Column{Title: "with the sick"}, chaos.Column{Title: "20 s later"},
		chaos.Column{Title: "goroutines before"}, chaos.Column{Title: "with the sick"}, chaos.Column{Title: "20 s later"})
	for _, method := range methods {
		ctx, cancel := context.WithCancel(t.Context())
		n := newNeighbourhood(ctx, t, method, each)
		healthy := newTravellers(t, n.healthy, 8, 100*time.Millisecond, roleName, n.jwt)
		wait(t.Context(), 5*time.Second) // warm
		alone := time.Now()
		wait(t.Context(), lasting)
		before := n.resources(t)
		arrived := time.Now()
		sick := n.clients(t, n.sick, besides/each, time.Second)
		wait(t.Context(), lasting)
		with, left := n.resources(t), time.Now()
		those := gathered(sick).between(arrived, left)
		t.Logf("%s: logins on sick mounts: %.0f a second, %v", method, float64(len(those))/left.Sub(arrived).Seconds(), those.statuses())
		for _, c := range sick {
			c.gone()
		}
		wait(t.Context(), 20*time.Second)
		after := n.resources(t)
		logins := healthy.gather()
		healthy.gone()
		cancel()
		first, second := logins.between(alone, arrived), logins.between(arrived, left)
		rate := func(o outcomes, from, to time.Time) float64 { return float64(o.allowed()) / to.Sub(from).Seconds() }
		r1, r2 := rate(first, alone, arrived), rate(second, arrived, left)
		b.add(strconv.Itoa(besides)+" clients on 50 sick mounts", method, r1, r2, ms(first.p99()), ms(second.p99()), float64(logins.refused()),
			float64(before.descriptors), float64(with.descriptors), float64(after.descriptors),
			float64(before.goroutines), float64(with.goroutines), float64(after.goroutines))
		if method != ours {
			continue
		}
		if r2 < 0.9*r1 || second.p99() > 2*first.p99() || logins.refused() > 0 {
			t.Errorf("%.0f logins a second, then %.0f; p99 %v, then %v; refused %v", r1, r2, first.p99(), second.p99(), logins.statuses())
		}
		if tenth := func(a, b int) bool { return float64(b) > 1.1*float64(a) }; tenth(before.descriptors, after.descriptors) || tenth(before.goroutines, after.goroutines) {
			t.Errorf("before %+v, 20 seconds after the sick ones left %+v", before, after)
		}
	}
	b.keep(t)
}
