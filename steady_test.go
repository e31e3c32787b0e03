package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/role"
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
	for _, name := range []string{"../config", "a/b", "a b", "\x00", "é", strings.Repeat("a", role.MaxNameBytes+1), m.token()} {
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

// newClockedStored is newStored with a clock that stands still.
func newClockedStored(t *testing.T) (*mount, *clock) {
	m := newMount(t)
	c := &clock{at: time.Now()}
	m.now = c.now
	m.write("config", m.config(nil))
	m.write("role/demo", m.role(nil))
	m.write("binding-rule/r", fields{"bind_type": "policy", "bind_name": "p"})
	m.write("binding-rule/s", fields{"bind_type": "policy", "bind_name": "q"})
	m.wantLogins(http.StatusOK, http.StatusOK)
	return m, c
}

// wantLogins logs in under the role demo, and by rules.
func (m *mount) wantLogins(byRole, byRules int) {
	m.t.Helper()
	for role, want := range map[string]int{"demo": byRole, "": byRules} {
		if o := m.login(role, m.token()); o.status != want {
			m.t.Errorf("the login under %q: %d %s, want %d", role, o.status, o.message, want)
		}
	}
}

// Once in a minute storage is asked whether what is remembered is still so. Where it is,
// connections and compiled roles stay what they are.
func TestOneLookAMinute(t *testing.T) {
	m, c := newClockedStored(t)
	connection, _ := m.cluster.Peek()
	role, _ := m.roles.Peek("demo")
	for range 3 {
		m.storage.reads.Store(0)
		m.wantLogins(http.StatusOK, http.StatusOK)
		if reads := m.storage.reads.Load(); reads != 0 {
			t.Errorf("%d reads within a minute", reads)
		}
		c.advance(time.Minute)
		m.wantLogins(http.StatusOK, http.StatusOK)
		if reads := m.storage.reads.Load(); reads != 1+1+1+2 {
			t.Errorf("%d reads after a minute, want one of the configuration, one of the role, a list, and two of rules", reads)
		}
	}
	if now, ok := m.cluster.Peek(); !ok || now != connection {
		t.Error("the connection was made anew")
	}
	if now, ok := m.roles.Peek("demo"); !ok || now != role {
		t.Error("the role was compiled anew")
	}
}

// What another node changed, and nobody told of, counts within a minute.
func TestLostInvalidation(t *testing.T) {
	for name, row := range map[string]struct {
		happens         func(m *mount)
		byRole, byRules int
	}{
		"role narrowed":  {func(m *mount) { m.stored("role/demo", strings.Replace(vaultRole, `["web"]`, `["other"]`, 1)) }, http.StatusForbidden, http.StatusOK},
		"role deleted":   {func(m *mount) { m.lose("role/demo") }, http.StatusBadRequest, http.StatusOK},
		"config changed": {func(m *mount) { m.stored("config", strings.Replace(vaultConfig, "REVIEWER", "garbage", 1)) }, http.StatusForbidden, http.StatusForbidden},
		"config deleted": {func(m *mount) { m.lose("config") }, http.StatusInternalServerError, http.StatusInternalServerError},
		"rules deleted":  {func(m *mount) { m.lose("binding-rule/r"); m.lose("binding-rule/s") }, http.StatusOK, http.StatusBadRequest},
		"rules narrowed": {func(m *mount) {
			for _, key := range []string{"binding-rule/r", "binding-rule/s"} {
				m.storage.put(m.t, key, `{"selector":"serviceaccount.name==other","bind_type":"policy","bind_name":"p"}`)
			}
		}, http.StatusOK, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			m, c := newClockedStored(t)
			row.happens(m)
			c.advance(time.Minute)
			m.wantLogins(row.byRole, row.byRules)
		})
	}
}

// lose deletes an entry as somebody else does.
func (m *mount) lose(key string) {
	m.t.Helper()
	if err := m.storage.InmemStorage.Delete(m.t.Context(), key); err != nil {
		m.t.Fatal(err)
	}
}

// Where storage cannot be read, nobody logs in by what was true more than a minute ago.
func TestStorageThatCannotBeRead(t *testing.T) {
	for prefix, want := range map[string][2]int{
		"config":        {http.StatusInternalServerError, http.StatusInternalServerError},
		"role/":         {http.StatusInternalServerError, http.StatusOK},
		"binding-rule/": {http.StatusOK, http.StatusInternalServerError},
	} {
		t.Run(prefix, func(t *testing.T) {
			m, c := newClockedStored(t)
			m.storage.fail(prefix)
			c.advance(49 * time.Second)
			m.wantLogins(http.StatusOK, http.StatusOK)
			c.advance(11 * time.Second)
			m.wantLogins(want[0], want[1])
			m.storage.fail("")
			m.wantLogins(http.StatusOK, http.StatusOK)
		})
	}
}

// Many rules, of which nobody told that they are gone: none grants anything a minute
// later, although a look reads only some of them.
func TestLostInvalidationAmongManyRules(t *testing.T) {
	m, c := newClockedStored(t)
	for i := range 2500 {
		m.storage.put(t, fmt.Sprintf("binding-rule/many-%04d", i), `{"selector":"serviceaccount.name==other","bind_type":"policy","bind_name":"p"}`)
	}
	c.advance(time.Minute)
	m.wantLogins(http.StatusOK, http.StatusOK)
	for _, key := range []string{"binding-rule/r", "binding-rule/s"} {
		m.storage.put(t, key, `{"selector":"serviceaccount.name==other","bind_type":"policy","bind_name":"p"}`)
	}
	c.advance(time.Minute)
	m.storage.reads.Store(0)
	m.wantLogins(http.StatusOK, http.StatusForbidden)
	if reads := m.storage.reads.Load(); reads > 1+1+1+1000+2 {
		t.Errorf("%d reads", reads)
	}
}
