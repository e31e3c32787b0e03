package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestRaftFailover kills the leader of three Vaults, and then the plugin's process
// of the next leader, while pods log in and an operator writes roles.
func TestRaftFailover(t *testing.T) {
	c := newRaftCluster(t, hasty, "one", "two", "three")
	leader := c.leaderSeenBy(c.nodes[0])
	if err := bed.RegisterPlugin(t.Context(), leader.client); err != nil {
		t.Fatal(err)
	}
	m := mount{path: "pods", addr: leader.addr, token: c.token}
	m.enable(t)
	m.configure(t, kube.Host, kube.CAPEM)
	m.mustLogin(t)
	written := m.snapshot(t, "config", "role/"+roleName)

	clients := newFailoverLoad(t, c, m, kube.newToken(t))
	roles := newRoleWriter(t, m)
	clients.awaitSuccess(t)
	time.Sleep(2 * time.Second)

	leader.kill(t)
	killed := time.Now()
	clients.awaitSuccess(t)
	t.Logf("logins went on %v after the leader was killed; so far %v", time.Since(killed).Round(time.Millisecond), clients)
	acknowledged := roles.stop()
	if len(acknowledged) == 0 {
		t.Error("no role was written before the leader was killed")
	}
	survivors := slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return n == leader })
	next := c.leaderSeenBy(survivors[0])
	if next == nil || next == leader {
		t.Fatal("logins go on without a new leader")
	}
	t.Run("after the leader was killed", func(t *testing.T) {
		m.at(next).checkNothingLost(t, written, acknowledged)
		for _, n := range survivors {
			m.at(n).mustLogin(t)
		}
	})

	first := pluginOf(t, next.pid)
	if err := syscall.Kill(first.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed = time.Now()
	await(t, "the plugin to be gone", func() bool { return !slices.Contains(pluginPIDs(t, next.pid), first.pid) })
	clients.awaitSuccess(t)
	t.Logf("logins went on %v after the plugin was killed", time.Since(killed).Round(time.Millisecond))
	t.Run("after the plugin was killed", func(t *testing.T) {
		m.at(next).checkNothingLost(t, written, acknowledged)
		m.at(next).mustLogin(t)
		if again := pluginOf(t, next.pid); again.pid == first.pid {
			t.Error("the plugin was not killed")
		}
	})
	clients.stop()
	t.Logf("until the end: %v", clients)
}

// at is the same mount as another node shows it.
func (m mount) at(n *node) mount {
	m.addr = n.addr
	return m
}

// snapshot reads paths of the mount.
func (m mount) snapshot(t *testing.T, paths ...string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, path := range paths {
		var body struct{ Data map[string]any }
		if err := json.Unmarshal([]byte(m.must(t, http.MethodGet, "auth/"+m.path+"/"+path, nil).body), &body); err != nil {
			t.Fatal(err)
		}
		all[path] = body.Data
	}
	return all
}

func (m mount) checkNothingLost(t *testing.T, written map[string]any, roles []string) {
	t.Helper()
	for path, want := range written {
		if got := m.snapshot(t, path)[path]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s was %v and is %v", path, want, got)
		}
	}
	want := written["role/"+roleName]
	for _, name := range roles {
		if got := m.snapshot(t, "role/"+name)["role/"+name]; !reflect.DeepEqual(got, want) {
			t.Errorf("the role %s was acknowledged as %v and is %v", name, want, got)
		}
	}
	t.Logf("config and %d roles are as they were written", len(roles)+1)
}

// newRoleWriter writes one role after the other, and tells in the end which ones
// the leader acknowledged.
func newRoleWriter(t *testing.T, m mount) (writer struct{ stop func() []string }) {
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var acknowledged []string
	group.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			name := fmt.Sprintf("r%05d", n)
			a, err := ask(m.addr, m.token, http.MethodPost, "auth/"+m.path+"/role/"+name, role())
			if err != nil {
				return // the leader is gone
			}
			if a.status < http.StatusMultipleChoices {
				acknowledged = append(acknowledged, name)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	writer.stop = func() []string { cancel(); group.Wait(); return acknowledged }
	t.Cleanup(func() { writer.stop() })
	return writer
}

// failoverLoad is clients that try all nodes in turn, as behind a load balancer
// that notices nothing.
type failoverLoad struct {
	succeeded   atomic.Int64
	failed      atomic.Int64 // with a 5xx
	unreachable atomic.Int64 // no answer, as from a node that was killed
	stop        func()
}

func (l *failoverLoad) String() string {
	return fmt.Sprintf("%d logins succeeded, %d failed, %d met a node that was gone",
		l.succeeded.Load(), l.failed.Load(), l.unreachable.Load())
}

func newFailoverLoad(t *testing.T, c *raftCluster, m mount, token string) *failoverLoad {
	ctx, cancel := context.WithCancel(t.Context())
	l := &failoverLoad{}
	var group sync.WaitGroup
	for first := range 10 {
		group.Go(func() {
			for n := first; ctx.Err() == nil; n++ {
				l.attempt(t, m.at(c.nodes[n%len(c.nodes)]), token)
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	l.stop = func() { cancel(); group.Wait() }
	t.Cleanup(l.stop)
	return l
}

// attempt takes any outage for what it is. A denial, or an unknown role, would mean
// that something was lost.
func (l *failoverLoad) attempt(t *testing.T, m mount, token string) {
	a, err := m.tryLogin(token)
	switch {
	case err == nil && a.status == http.StatusOK:
		l.succeeded.Add(1)
	case err == nil && a.status < http.StatusInternalServerError:
		t.Errorf("a login was refused: %v", a)
	case err == nil:
		l.failed.Add(1)
	default:
		l.unreachable.Add(1)
	}
}

// awaitSuccess waits for more logins than can have been under way already.
func (l *failoverLoad) awaitSuccess(t *testing.T) {
	t.Helper()
	enough := l.succeeded.Load() + 20
	await(t, "logins to succeed", func() bool { return l.succeeded.Load() >= enough })
}
