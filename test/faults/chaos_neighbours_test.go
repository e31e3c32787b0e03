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

// How TestNeighboursOfSickMounts goes: the sick ones come and go so many times, for what a
// machine has left changes by more in a minute than they take. They come all at once, which
// costs for itself, and are measured once they have.
const (
	visits   = 3
	arriving = 15 * time.Second
	leaving  = 20 * time.Second
)

// stretch is how the logins of the healthy went for a time.
type stretch struct {
	rate float64 // a second
	p99  time.Duration
}

// visit is one coming and going of those who log in on sick mounts.
type visit struct {
	alone                  [2]stretch // before and afterwards
	arrival, beside        stretch
	refused                int // of the healthy
	before, with, leftOver resources
}

// kept is the part of their logins that the healthy kept.
func (v visit) kept() float64      { return v.beside.rate / v.rateAlone() }
func (v visit) rateAlone() float64 { return (v.alone[0].rate + v.alone[1].rate) / 2 }
func (v visit) p99Alone() float64  { return (ms(v.alone[0].p99) + ms(v.alone[1].p99)) / 2 }

// lasted is how the logins of a crowd went in the time to come.
func (c *crowd) lasted(t *testing.T, d time.Duration) stretch {
	t.Helper()
	from := time.Now()
	wait(t.Context(), d)
	to := time.Now()
	went := c.gather().between(from, to)
	return stretch{rate: float64(went.allowed()) / to.Sub(from).Seconds(), p99: went.p99()}
}

// visited has clients log in on the sick mounts as well, after a time alone.
func (n *neighbourhood) visited(t *testing.T, healthy *crowd, alone stretch, besides int, lasting time.Duration) (v visit) {
	t.Helper()
	v.alone[0], v.before = alone, n.resources(t)
	arrived := time.Now()
	sick := n.clients(t, n.sick, besides/len(n.sick), time.Second)
	v.arrival = healthy.lasted(t, arriving)
	v.beside = healthy.lasted(t, lasting)
	left := time.Now()
	v.with = n.resources(t)
	those := gathered(sick).between(arrived, left)
	t.Logf("%s: logins on sick mounts: %.0f a second, %v", n.method, float64(len(those))/left.Sub(arrived).Seconds(), those.statuses())
	for _, c := range sick {
		c.gone()
	}
	wait(t.Context(), leaving)
	v.leftOver = n.resources(t)
	v.alone[1] = healthy.lasted(t, lasting)
	v.refused = healthy.gather().between(arrived, time.Now()).refused()
	t.Logf("%s: %.0f logins a second, %.0f while the sick ones came, %.0f beside them, %.0f afterwards; p99 %v, %v, %v, %v", n.method,
		alone.rate, v.arrival.rate, v.beside.rate, v.alone[1].rate, alone.p99, v.arrival.p99, v.beside.p99, v.alone[1].p99)
	return v
}

// seenOfVisits are the columns of the table. Each cell is the median of the visits.
var seenOfVisits = []struct {
	chaos.Column
	of func(visit) float64
}{
	{chaos.Column{Title: "logins/s alone"}, visit.rateAlone},
	{chaos.Column{Title: "while the sick come"}, func(v visit) float64 { return v.arrival.rate }},
	{chaos.Column{Title: "beside them"}, func(v visit) float64 { return v.beside.rate }},
	{chaos.Column{Title: "kept", Decimals: 2}, visit.kept},
	{chaos.Column{Title: "p99 ms alone"}, visit.p99Alone},
	{chaos.Column{Title: "beside them"}, func(v visit) float64 { return ms(v.beside.p99) }},
	{chaos.Column{Title: "refused"}, func(v visit) float64 { return float64(v.refused) }},
	{chaos.Column{Title: "descriptors before"}, func(v visit) float64 { return float64(v.before.descriptors) }},
	{chaos.Column{Title: "with the sick"}, func(v visit) float64 { return float64(v.with.descriptors) }},
	{chaos.Column{Title: "20 s later"}, func(v visit) float64 { return float64(v.leftOver.descriptors) }},
	{chaos.Column{Title: "goroutines before"}, func(v visit) float64 { return float64(v.before.goroutines) }},
	{chaos.Column{Title: "with the sick"}, func(v visit) float64 { return float64(v.with.goroutines) }},
	{chaos.Column{Title: "20 s later"}, func(v visit) float64 { return float64(v.leftOver.goroutines) }},
}

// middle is the median of a figure of the visits.
func middle(all []visit, of func(visit) float64) float64 {
	var figures []float64
	for _, v := range all {
		figures = append(figures, of(v))
	}
	return median(figures)
}

// TestNeighboursOfSickMounts has 8 clients log in on 50 healthy mounts, each of them at one
// after the other, and now and then 1,000 on 50 sick ones as well.
func TestNeighboursOfSickMounts(t *testing.T) {
	onlyLong(t)
	const each, besides = 50, 1000
	lasting := bounded(25 * time.Second)
	var columns []chaos.Column
	for _, seen := range seenOfVisits {
		columns = append(columns, seen.Column)
	}
	b := newTable(t, "neighbours", lasting, columns...)
	for _, method := range methods {
		ctx, cancel := context.WithCancel(t.Context())
		n := newNeighbourhood(ctx, t, method, each)
		healthy := newTravellers(t, n.healthy, 8, 100*time.Millisecond, roleName, n.jwt)
		wait(t.Context(), 5*time.Second) // warm
		var all []visit
		for alone := healthy.lasted(t, lasting); len(all) < visits; alone = all[len(all)-1].alone[1] {
			all = append(all, n.visited(t, healthy, alone, besides, lasting))
		}
		healthy.gone()
		cancel()
		var figures []float64
		for _, seen := range seenOfVisits {
			figures = append(figures, middle(all, seen.of))
		}
		b.add(strconv.Itoa(besides)+" clients on 50 sick mounts", method, figures...)
		if method == ours {
			noticedLittle(t, all)
		}
	}
	b.keep(t)
}

// noticedLittle asserts that the healthy kept nine tenths of their logins, at twice their p99
// at most, and that what those on sick mounts took was given back.
func noticedLittle(t *testing.T, all []visit) {
	t.Helper()
	kept, slower := middle(all, visit.kept), middle(all, func(v visit) float64 { return ms(v.beside.p99) / v.p99Alone() })
	if kept < 0.9 || slower > 2 {
		t.Errorf("%.2f of the logins were kept, at %.2f times the p99", kept, slower)
	}
	tenth := func(a, b int) bool { return float64(b) > 1.1*float64(a) }
	for _, v := range all {
		if v.refused > 0 {
			t.Errorf("%d healthy logins were refused", v.refused)
		}
		if tenth(v.before.descriptors, v.leftOver.descriptors) || tenth(v.before.goroutines, v.leftOver.goroutines) {
			t.Errorf("before %+v, 20 seconds after the sick ones left %+v", v.before, v.leftOver)
		}
	}
}
