package faults

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestRevocationBySlowQuorum stops the followers for a second, so that nothing can be
// committed, and revokes meanwhile. The operator's client hangs up before that second
// is over; the active node goes on to commit when the followers are back.
func TestRevocationBySlowQuorum(t *testing.T) {
	c := newRaftCluster(t, patient, "one", "two", "three")
	leader := c.awaitLeader(t)
	if err := bed.RegisterPlugin(t.Context(), leader.client); err != nil {
		t.Fatal(err)
	}
	yes, no := newFakeAPI(t, vouches), newFakeAPI(t, denies)
	jwt, mounts := kube.newToken(t), map[string]mount{}
	for _, method := range []string{ours, builtIn} {
		mounts[method] = c.enableOn(t, leader, method, yes)
	}
	for round := range scaled(1, 1, 5) {
		for i, r := range revocations(yes, no) {
			for _, method := range r.methods {
				for _, again := range []bool{false, true} {
					name := fmt.Sprintf("r%d-%d-%v", round, i, again)
					t.Run(fmt.Sprintf("%s, %s, again %v, %d", r.name, method, again, round), func(t *testing.T) {
						leader := c.awaitLeader(t)
						m := mounts[method].at(leader)
						m.configure(t, yes.url, yes.caPEM)
						running := r.begin(t, c, m, name, jwt, leader)
						running.revokeWhileStopped(t, leader)
						if again {
							running.awaitAcknowledged(t)
						} else {
							running.awaitShown(t)
						}
						running.checkEverywhere(t, c.nodes)
						running.end(t)
					})
				}
			}
		}
	}
}

// revokeWhileStopped returns once the client has given up and the followers are back.
func (r *raftRevocation) revokeWhileStopped(t *testing.T, leader *node) {
	t.Helper()
	followers := r.cluster.others(leader)
	for _, n := range followers {
		if err := testbed.Pause(n.pid); err != nil {
			t.Fatal(err)
		}
	}
	done, err := r.revokeWithin(r.operator, r.name, time.Second)
	for _, n := range followers {
		n.signal(t, syscall.SIGCONT)
	}
	if err != nil || done {
		t.Errorf("without a quorum the revocation should have no answer: done %v, %v", done, err)
	}
}

// awaitShown waits until the active node shows the revocation that nobody has
// acknowledged. Where there is another active node by now, it may be lost and is made
// again.
func (r *raftRevocation) awaitShown(t *testing.T) {
	t.Helper()
	await(t, "the revocation to take effect", func() bool {
		if leader := r.cluster.awaitLeader(t); leader.addr != r.operator.addr {
			r.operator = r.operator.at(leader)
			r.revokeOnce()
		}
		a, err := r.operator.send(request{http.MethodGet, r.entry(r.name), nil})
		return err == nil && a.status < http.StatusInternalServerError && r.revoked(a)
	})
}
