package faults

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// raftRevocation is a revocation in a Vault of several nodes, while many log in.
type raftRevocation struct {
	revocation
	cluster   *raftCluster
	operator  mount // at the node that was active last
	name, jwt string

	acknowledged        atomic.Bool // set before any login that must not succeed
	succeeded, refused  atomic.Int64
	unanswered, against atomic.Int64 // against: of those that must not succeed
	stop                func()
}

// raftClients log in all the time.
const raftClients = 50

// begin grants, and has clients log in at a node, and at the next one where it does
// not answer.
func (r revocation) begin(t *testing.T, c *raftCluster, m mount, name, jwt string, serving *node) *raftRevocation {
	t.Helper()
	r.mustGrant(t, m, name, jwt)
	running := &raftRevocation{revocation: r, cluster: c, operator: m, name: name, jwt: jwt}
	first := 0
	for i, n := range c.nodes {
		if n == serving {
			first = i
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range raftClients {
		group.Go(func() {
			for at := first; ctx.Err() == nil; {
				if !running.attempt(m.at(c.nodes[at%len(c.nodes)])) {
					at++
				}
				select {
				case <-time.After(clientPause):
				case <-ctx.Done():
				}
			}
		})
	}
	running.stop = func() { cancel(); group.Wait() }
	t.Cleanup(running.stop)
	await(t, "the clients to log in", func() bool { return running.succeeded.Load() >= raftClients })
	return running
}

// attempt tells whether the node of the mount answered.
func (r *raftRevocation) attempt(m mount) (answered bool) {
	late := r.acknowledged.Load() // before the login is sent
	granted, err := r.login(m, r.name, r.jwt)
	switch {
	case err != nil:
		r.unanswered.Add(1)
		return false
	case granted && late:
		r.against.Add(1)
	case granted:
		r.succeeded.Add(1)
	default:
		r.refused.Add(1)
	}
	return true
}

// checkEverywhere asks each node until it answers, and then some more.
func (r *raftRevocation) checkEverywhere(t *testing.T, nodes []*node) {
	t.Helper()
	r.acknowledged.Store(true)
	for _, n := range nodes {
		await(t, n.name+" to answer a login", func() bool { return r.attempt(r.operator.at(n)) })
		for range 5 {
			r.attempt(r.operator.at(n))
		}
	}
}

// end stops the clients and judges what they got.
func (r *raftRevocation) end(t *testing.T) {
	t.Helper()
	r.stop()
	t.Logf("%d logins before, %d refused, %d without an answer, %d after the revocation",
		r.succeeded.Load(), r.refused.Load(), r.unanswered.Load(), r.against.Load())
	if n := r.against.Load(); n > 0 {
		t.Errorf("%d logins got what was revoked before", n)
	}
	if r.refused.Load() == 0 {
		t.Error("no login was refused")
	}
}

// enableOn enables a method in a cluster, with a config and a role.
func (c *raftCluster) enableOn(t *testing.T, leader *node, method string, api fakeAPI) mount {
	t.Helper()
	m := mount{path: "pods-" + method, addr: leader.addr, token: c.token}
	m.enableMethod(t, method)
	m.configure(t, api.url, api.caPEM)
	m.mustLogin(t)
	return m
}

// TestRevocationOutlivesANode deletes a role by way of the active node, and kills the
// node that serves the clients at that moment: a standby, which hands logins on, or the
// active one itself, before or after it has answered.
func TestRevocationOutlivesANode(t *testing.T) {
	c := newRaftCluster(t, hasty, "one", "two", "three")
	leader := c.awaitLeader(t)
	if err := bed.RegisterPlugin(t.Context(), leader.client); err != nil {
		t.Fatal(err)
	}
	api := newFakeAPI(t, vouches)
	r := revocations(api, api)[0]
	m, jwt := c.enableOn(t, leader, ours, api), kube.newToken(t)
	kinds := []string{"a standby", "the active node, meanwhile", "the active node, afterwards"}
	for round := range scaled(3, 3, 12) {
		kind := kinds[round%len(kinds)]
		name := fmt.Sprintf("r%02d", round)
		t.Run(fmt.Sprintf("%d, %s", round, kind), func(t *testing.T) {
			leader := c.awaitLeader(t)
			serving := leader
			if kind == "a standby" {
				serving = c.others(leader)[0]
			}
			running := r.begin(t, c, m.at(leader), name, jwt, serving)
			running.revokeAndKill(t, serving, kind == "the active node, afterwards")
			running.awaitAcknowledged(t)
			running.checkEverywhere(t, c.others(serving))
			c.restart(t, serving)
			await(t, "all nodes to vote again", func() bool { return c.awaitLeader(t).voters() == len(c.nodes) })
			running.checkEverywhere(t, c.nodes)
			running.end(t)
			for _, n := range c.nodes {
				m.at(n).mustLogin(t) // under another role
			}
		})
	}
}

// others are the nodes but for one.
func (c *raftCluster) others(but *node) (nodes []*node) {
	for _, n := range c.nodes {
		if n != but {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// revokeAndKill kills a node while the revocation is under way, or as soon as it was
// acknowledged.
func (r *raftRevocation) revokeAndKill(t *testing.T, victim *node, afterwards bool) {
	t.Helper()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if r.revokeOnce() {
			r.acknowledged.Store(true)
		}
	}()
	if afterwards {
		<-sent
	}
	victim.kill(t)
	<-sent
	t.Logf("acknowledged beside the kill: %v", r.acknowledged.Load())
}

// revokeOnce tells whether the revocation was acknowledged.
func (r *raftRevocation) revokeOnce() bool {
	a, err := r.operator.send(r.revoke(r.name))
	return err == nil && a.status < http.StatusMultipleChoices
}

// awaitAcknowledged is an operator who tries again until it is done.
func (r *raftRevocation) awaitAcknowledged(t *testing.T) {
	t.Helper()
	await(t, "the revocation to be acknowledged", func() bool {
		if !r.acknowledged.Load() {
			r.operator = r.operator.at(r.cluster.awaitLeader(t))
			r.acknowledged.Store(r.revokeOnce())
		}
		return r.acknowledged.Load()
	})
}
