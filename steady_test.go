package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// Every read of storage is a round trip to the host's process.
func TestSteadyStateReadsNothing(t *testing.T) {
	m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, fields{
		"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": "{}",
	})
	auth := m.mustLogin(m.token())
	m.storage.reads.Store(0)
	m.storage.writes.Store(0)
	for range 3 {
		m.mustLogin(m.token())
		m.lookahead("demo", m.token())
		m.lookahead("DEMO", m.token())
		m.login("demo", "garbage")
		m.renew(auth)
		m.do(logical.ResolveRoleOperation, "login", fields{"role": "demo"})
	}
	if reads, writes := m.storage.reads.Load(), m.storage.writes.Load(); reads > 0 || writes > 0 {
		t.Errorf("%d reads and %d writes", reads, writes)
	}
}

// countingSystem counts the questions about replication, each of which is a round trip
// to the host's process as well.
type countingSystem struct {
	*logical.StaticSystemView
	asked atomic.Int64
}

func (s *countingSystem) ReplicationState() consts.ReplicationState {
	s.asked.Add(1)
	return s.StaticSystemView.ReplicationState()
}

func TestLoginDoesNotAskForTheReplicationState(t *testing.T) {
	m := newDemo(t, nil, nil)
	system := &countingSystem{StaticSystemView: logical.TestSystemView()}
	if err := m.Setup(t.Context(), &logical.BackendConfig{Logger: m.logs, System: system, StorageView: m.storage}); err != nil {
		t.Fatal(err)
	}
	m.mustLogin(m.token())
	m.lookahead("demo", m.token())
	m.do(logical.ResolveRoleOperation, "login", fields{"role": "demo"})
	if asked := system.asked.Load(); asked > 0 {
		t.Errorf("asked %d times", asked)
	}
	m.read("config")
	if system.asked.Load() == 0 {
		t.Error("reading the configuration does not ask either: this test counts nothing")
	}
}

// What a stranger sends must not read storage with a key of the stranger's.
func TestRoleNamesThatCannotExistAreNotLookedUp(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.storage.reads.Store(0)
	for _, name := range []string{"../config", "a/b", "a b", "\x00", "é", strings.Repeat("a", maxRoleNameBytes+1), m.token()} {
		m.login(name, m.token())
	}
	if reads := m.storage.reads.Load(); reads > 0 {
		t.Errorf("%d reads", reads)
	}
	m.login("other", m.token())
	if reads := m.storage.reads.Load(); reads != 1 {
		t.Errorf("%d reads for a name that could exist, want 1", reads)
	}
}

// That a role is remembered makes no name good that is not: the sign for a kelvin has the
// lower case k, and is no letter that a role's name may have.
func TestRememberedRolesHaveTheirNamesOnly(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.write("role/desk", m.role(nil))
	for range 2 { // the second time it is remembered
		for name, want := range map[string]int{
			"desk": http.StatusOK, "DESK": http.StatusOK,
			"des\u212a": http.StatusBadRequest, "desk ": http.StatusBadRequest, "desk/": http.StatusBadRequest,
		} {
			if o := m.login(name, m.token()); o.status != want {
				t.Errorf("%q: %d, %v, want %d", name, o.status, o.err, want)
			}
		}
	}
}

// A write on this node counts for the next login.
func TestWritesCountAtOnce(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token())

	m.write("role/DEMO", fields{"bound_service_account_names": "other"})
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
	m.write("role/demo", fields{"bound_service_account_names": "web"})
	m.mustLogin(m.token())
	m.do(logical.DeleteOperation, "role/demo", nil)
	wantRefused(t, m.login("demo", m.token()), http.StatusBadRequest)
	m.write("role/demo", m.role(nil))
	m.mustLogin(m.token())

	m.write("config", m.config(fields{"token_reviewer_jwt": "garbage"}))
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
	m.do(logical.PatchOperation, "config", fields{"token_reviewer_jwt": m.api.Reviewer})
	m.mustLogin(m.token())
}

// A write on another node counts once the host has told of it.
func TestInvalidation(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token())

	m.stored("role/demo", strings.Replace(vaultRole, `["web"]`, `["other"]`, 1))
	m.mustLogin(m.token())
	for _, unrelated := range []string{"role/other", "role", "demo", "role/", "configuration", ""} {
		m.InvalidateKey(t.Context(), unrelated)
	}
	m.mustLogin(m.token())
	m.InvalidateKey(t.Context(), "role/demo")
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
	m.stored("role/demo", vaultRole)
	m.InvalidateKey(t.Context(), "role/demo")
	m.mustLogin(m.token())

	m.stored("config", strings.Replace(vaultConfig, "REVIEWER", "garbage", 1))
	m.mustLogin(m.token())
	m.InvalidateKey(t.Context(), "config")
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)

	if err := m.storage.InmemStorage.Delete(t.Context(), "config"); err != nil {
		t.Fatal(err)
	}
	m.InvalidateKey(t.Context(), "config")
	if o := m.login("demo", m.token()); o.status != http.StatusInternalServerError {
		t.Errorf("without configuration: %d %s", o.status, o.message)
	}
}

// Logins, writes and invalidations at the same time: each login ends in one of the
// ways that there are, and the last write counts.
func TestLoginsWhileEverythingChanges(t *testing.T) {
	m := newDemo(t, nil, nil)
	token := m.token()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				if o := m.login("demo", token); o.status != http.StatusOK && o.status != http.StatusForbidden {
					t.Errorf("%d %s", o.status, o.message)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 10 {
			m.write("role/demo", fields{"bound_service_account_names": []string{"web", "other"}[i%2]})
			m.InvalidateKey(t.Context(), "role/demo")
		}
	})
	all.Go(func() {
		for i := range 10 {
			m.write("config", m.config(fields{"issuer": fmt.Sprint(i)}))
			m.InvalidateKey(t.Context(), "config")
		}
	})
	all.Wait()
	wantRefused(t, m.login("demo", token), http.StatusForbidden)
	m.write("role/demo", fields{"bound_service_account_names": "web"})
	m.mustLogin(token)
}
