package faults

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestRaftFailoverOfConsulLeases kills the leader of three Vaults between the making of
// Consul tokens and the end of their leases. What the new leader is told to revoke, and
// what the old one was told and could not carry out, is gone from the real Consul; the
// others are there.
func TestRaftFailoverOfConsulLeases(t *testing.T) {
	consul := newTokenServer(t)
	c := newRaftCluster(t, hasty, "one", "two", "three")
	leader := c.leaderSeenBy(c.nodes[0])
	if err := bed.RegisterPlugin(t.Context(), leader.client); err != nil {
		t.Fatal(err)
	}
	m := mount{path: "pods", addr: leader.addr, token: c.token}
	m.enable(t)
	m.configure(t, kube.Host, kube.CAPEM)
	m.must(t, http.MethodPost, "auth/pods/consul/config", fields{"address": consul.Addr, "token": consul.ManagementToken, "request_timeout": 1})
	m.must(t, http.MethodPost, "auth/pods/binding-rule/all", fields{"selector": "*", "bind_type": "consul-service", "bind_name": "${serviceaccount.name}"})

	parent := m.child(t)
	kept, revoked, queued := m.consulLease(t, m.token), m.consulLease(t, m.token), m.consulLease(t, m.token)
	ofParent := m.consulLease(t, parent)
	consul.want(t, "before the failover", kept, revoked, queued, ofParent)

	// Vault takes the word for it, tries, and is killed before it gets anywhere.
	if err := testbed.Pause(consul.PID); err != nil {
		t.Fatal(err)
	}
	m.must(t, http.MethodPost, "sys/leases/revoke", fields{"lease_id": queued.id, "sync": false})
	leader.kill(t)
	consul.signal(t, syscall.SIGCONT)

	next := m.at(c.awaitLeader(t))
	if next.addr == leader.addr {
		t.Fatal("the leader that was killed is active")
	}
	next.must(t, http.MethodPost, "sys/leases/revoke", fields{"lease_id": revoked.id, "sync": true})
	next.must(t, http.MethodPost, "auth/token/revoke", fields{"token": parent})
	await(t, "the revocation that the leader was killed in", func() bool { return !consul.tokens(t)[queued.accessor] })
	await(t, "the revocation with the Vault token that asked", func() bool { return !consul.tokens(t)[ofParent.accessor] })
	consul.want(t, "after the failover", kept)

	next.must(t, http.MethodPost, "sys/leases/revoke", fields{"lease_id": kept.id, "sync": true})
	consul.want(t, "in the end")
}

// tokenServer is a Consul of a test's own.
type tokenServer struct {
	*testbed.Consul
	client *api.Client
	before map[string]bool // tokens that are no login's
}

// newTokenServer skips the test where there is no Consul: building one takes minutes.
func newTokenServer(t *testing.T) *tokenServer {
	t.Helper()
	binary, err := testbed.BuiltConsul(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if binary == "" {
		t.Skip("needs a Consul, which takes minutes to build once: run make test-consul")
	}
	server, err := testbed.StartConsul(t.Context(), binary, filepath.Join(bed.Dir, t.Name()+"-consul"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &tokenServer{Consul: server}
	if s.client, err = server.Client(); err != nil {
		t.Fatal(err)
	}
	s.before = s.tokens(t)
	return s
}

// tokens are the accessors of those that Consul has, without the ones it began with.
func (s *tokenServer) tokens(t *testing.T) map[string]bool {
	t.Helper()
	list, _, err := s.client.ACL().TokenList((&api.QueryOptions{}).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, entry := range list {
		if !s.before[entry.AccessorID] {
			all[entry.AccessorID] = true
		}
	}
	return all
}

// want fails the test unless Consul has the tokens of these leases and no others.
func (s *tokenServer) want(t *testing.T, when string, leases ...consulLease) {
	t.Helper()
	want := map[string]bool{}
	for _, lease := range leases {
		want[lease.accessor] = true
	}
	if got := s.tokens(t); !maps.Equal(got, want) {
		t.Errorf("%s Consul has the tokens %q, want %q", when, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func (s *tokenServer) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.PID, signal); err != nil {
		t.Fatal(err)
	}
}

// consulLease is a Consul token that Vault has a lease of.
type consulLease struct{ id, accessor string }

// consulLease makes a token for the service account of the tests, with a token of Vault's.
func (m mount) consulLease(t *testing.T, with string) consulLease {
	t.Helper()
	m.token = with
	var answer struct {
		LeaseID string `json:"lease_id"`
		Data    struct{ Accessor string }
	}
	body := m.must(t, http.MethodPost, "auth/"+m.path+"/consul/token/kubernetes", fields{"jwt": kube.newToken(t)}).body
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.LeaseID == "" || answer.Data.Accessor == "" {
		t.Fatal("the Consul token has no lease")
	}
	return consulLease{id: answer.LeaseID, accessor: answer.Data.Accessor}
}

// child is another token of Vault's.
func (m mount) child(t *testing.T) string {
	t.Helper()
	var answer struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		}
	}
	if err := json.Unmarshal([]byte(m.must(t, http.MethodPost, "auth/token/create", fields{}).body), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Auth.ClientToken
}
