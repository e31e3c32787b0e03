package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/change"
	"vault-plugin-auth-kubernetes/internal/logtest"
)

// gate holds operations of a storage until they are let go.
type gate struct {
	arrived chan struct{} // gets one for each that is held
	leave   chan struct{}
}

func newGate() *gate {
	return &gate{arrived: make(chan struct{}, 100), leave: make(chan struct{})}
}

func (g *gate) hold(ctx context.Context) error {
	g.arrived <- struct{}{}
	select {
	case <-g.leave:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) open() { close(g.leave) }

// faults are what a storage can do with a change.
var faults = map[string]func(g *gate) between{
	"commits, and answers late": func(g *gate) between {
		return func(ctx context.Context, _, _ string, do func() error) error {
			return errors.Join(do(), g.hold(ctx))
		}
	},
	"commits late": func(g *gate) between {
		return func(ctx context.Context, _, _ string, do func() error) error {
			if err := g.hold(ctx); err != nil {
				return err
			}
			return do()
		}
	},
	"commits, and fails": func(g *gate) between {
		return func(ctx context.Context, _, _ string, do func() error) error {
			return errors.Join(do(), g.hold(ctx), errStorage)
		}
	},
	"fails": func(g *gate) between {
		return func(ctx context.Context, _, _ string, _ func() error) error {
			return errors.Join(g.hold(ctx), errStorage)
		}
	},
}

// ofChanges makes a fault one of changes of one key alone.
func ofChanges(key string, fault between) between {
	return func(ctx context.Context, op, of string, do func() error) error {
		if of != key || op != "put" && op != "delete" {
			return do()
		}
		return fault(ctx, op, of, do)
	}
}

// revocations are changes after which the login that there was is refused.
var revocations = map[string]struct {
	role, key, path string
	operation       logical.Operation
	data            func(m *mount) fields
	status          int
}{
	"a role is deleted":     {"demo", "role/demo", "role/demo", logical.DeleteOperation, nil, http.StatusBadRequest},
	"a role is narrowed":    {"demo", "role/demo", "role/demo", logical.UpdateOperation, func(*mount) fields { return fields{"bound_service_account_names": "other"} }, http.StatusForbidden},
	"a rule is deleted":     {"", "binding-rule/r", "binding-rule/r", logical.DeleteOperation, nil, http.StatusBadRequest},
	"a rule is narrowed":    {"", "binding-rule/r", "binding-rule/r", logical.UpdateOperation, func(*mount) fields { return fields{"selector": `serviceaccount.name == "other"`} }, http.StatusForbidden},
	"a rule is patched":     {"", "binding-rule/r", "binding-rule/r", logical.PatchOperation, func(*mount) fields { return fields{"selector": `serviceaccount.name == "other"`} }, http.StatusForbidden},
	"the config is gone":    {"demo", "config", "config", logical.DeleteOperation, nil, http.StatusInternalServerError},
	"the config is other":   {"demo", "config", "config", logical.UpdateOperation, func(m *mount) fields { return m.config(fields{"issuer": "other", "disable_iss_validation": false}) }, http.StatusForbidden},
	"the config is patched": {"demo", "config", "config", logical.PatchOperation, func(*mount) fields { return fields{"issuer": "other", "disable_iss_validation": false} }, http.StatusForbidden},
}

// newStored is a mount with a role and a rule, which are remembered.
func newStored(t *testing.T) *mount {
	m := newDemo(t, nil, nil)
	m.write("binding-rule/r", fields{"bind_type": "policy", "bind_name": "p"})
	for _, role := range []string{"demo", ""} {
		if o := m.login(role, m.token()); o.status != http.StatusOK {
			t.Fatalf("login under %q: %d %s", role, o.status, o.message)
		}
	}
	return m
}

// Whatever storage does with a change, and whether or not the client waits for it,
// logins go by what is stored, at once.
func TestLoginsGoByWhatIsStored(t *testing.T) {
	for name, row := range revocations {
		for does, fault := range faults {
			for _, hangsUp := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, storage %s, client hangs up: %t", name, does, hangsUp), func(t *testing.T) {
					m := newStored(t)
					before := m.storage.text(t, row.key)
					g := newGate()
					m.storage.does(ofChanges(row.key, fault(g)))
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var data fields
					if row.data != nil {
						data = row.data(m)
					}
					var change sync.WaitGroup
					var answer outcome
					change.Go(func() { answer = m.as(ctx, row.operation, row.path, data) })
					<-g.arrived
					wantLoginByStorage(t, m, row.role, row.key, before, row.status)
					if hangsUp {
						cancel()
					}
					g.open()
					change.Wait()
					wantLoginByStorage(t, m, row.role, row.key, before, row.status)
					if failed := strings.Contains(does, "fails"); failed != (answer.status == http.StatusInternalServerError) {
						t.Errorf("the change was answered %d %s", answer.status, answer.message)
					}
					if changed := m.storage.text(t, row.key) != before; changed == (does == "fails") {
						t.Errorf("it was stored: %t", changed)
					}
				})
			}
		}
	}
}

// wantLoginByStorage logs in: allowed while the entry is what it was, else refused.
func wantLoginByStorage(t *testing.T, m *mount, role, key, before string, refusal int) {
	t.Helper()
	want := http.StatusOK
	if m.storage.text(t, key) != before {
		want = refusal
	}
	if o := m.login(role, m.token()); o.status != want {
		t.Errorf("the login: %d %s, want %d", o.status, o.message, want)
	}
}

// A change that is under way while an entry is deleted does not bring it back: it comes
// before the deletion, or finds nothing.
func TestWhatIsDeletedStaysDeleted(t *testing.T) {
	for name, row := range map[string]struct {
		path      string
		operation logical.Operation
		data      fields
	}{
		"role":          {"role/demo", logical.UpdateOperation, fields{"token_ttl": 60}},
		"rule":          {"binding-rule/r", logical.PatchOperation, fields{"description": "d"}},
		"rule, written": {"binding-rule/r", logical.UpdateOperation, fields{"description": "d"}},
		"config":        {"config", logical.PatchOperation, fields{"request_timeout": 5}},
	} {
		for _, held := range []string{"get", "put"} {
			t.Run(name+", while it does a "+held, func(t *testing.T) {
				m := newStored(t)
				g := newGate()
				first := true
				m.storage.does(func(ctx context.Context, op, key string, do func() error) error {
					err := do()
					if op == held && key == row.path && first {
						first = false
						return errors.Join(err, g.hold(ctx))
					}
					return err
				})
				var all sync.WaitGroup
				all.Go(func() { m.as(t.Context(), row.operation, row.path, row.data) })
				<-g.arrived
				deleted := make(chan outcome, 1)
				all.Go(func() { deleted <- m.as(t.Context(), logical.DeleteOperation, row.path, nil) })
				// Either the deletion waits, or it is done before the other goes on.
				waitFor(t, func() bool { return len(deleted) == 1 || m.changes.Turns.Waiting(row.path) == 2 })
				g.open()
				all.Wait()
				if o := <-deleted; o.err != nil {
					t.Fatalf("the deletion: %v", o.err)
				}
				if text := m.storage.text(t, row.path); text != "" {
					t.Errorf("it is back: %s", text)
				}
				if o := m.do(logical.ReadOperation, row.path, nil); o.status != http.StatusNotFound {
					t.Errorf("read: %d", o.status)
				}
			})
		}
	}
}

// waitFor lets other goroutines run until something holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.After(time.Minute); !holds(); {
		select {
		case <-end:
			t.Fatal("it never came to that")
		case <-time.After(time.Millisecond):
		}
	}
}

// While storage takes its time with one entry, others are changed, by an import as well.
func TestChangesOfOthersDoNotWait(t *testing.T) {
	m := newStored(t)
	g := newGate()
	m.storage.does(ofChanges("role/slow", func(ctx context.Context, _, _ string, do func() error) error {
		return errors.Join(g.hold(ctx), do())
	}))
	var slow sync.WaitGroup
	slow.Go(func() { m.write("role/slow", m.role(nil)) })
	<-g.arrived
	m.write("role/other", m.role(nil))
	m.write("config", m.config(fields{"cluster_name": "x"}))
	m.write("binding-rule/other", fields{"bind_type": "policy", "bind_name": "p"})
	if o := m.importConsul(false, consulRule("a", "", "policy", "p")); o.status != http.StatusOK {
		t.Errorf("the import: %d %s", o.status, o.message)
	}
	m.do(logical.DeleteOperation, "role/other", nil)

	// Who would change the same entry waits no longer than it wants to.
	ctx, cancel := context.WithCancel(t.Context())
	var waits sync.WaitGroup
	waits.Go(func() {
		if o := m.as(ctx, logical.DeleteOperation, "role/SLOW", nil); !errors.Is(o.err, context.Canceled) {
			t.Errorf("who hung up: %v", o.err)
		}
	})
	waitFor(t, func() bool { return m.changes.Turns.Waiting("role/slow") == 2 })
	cancel()
	waits.Wait()
	g.open()
	slow.Wait()
	m.read("role/slow")
}

// While an import stores its rules, others are changed.
func TestChangesDoNotWaitForAnImport(t *testing.T) {
	m := newStored(t)
	g := newGate()
	m.storage.does(ofChanges("binding-rule/consul-a", func(ctx context.Context, _, _ string, do func() error) error {
		return errors.Join(g.hold(ctx), do())
	}))
	var slow sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	slow.Go(func() {
		m.as(ctx, logical.UpdateOperation, "import/consul", fields{
			"tokens": "vault", "auth_method": m.consulMethod(), "binding_rules": "[" + consulRule("a", "", "policy", "p") + "," + consulRule("b", "", "policy", "p") + "]",
		})
	})
	<-g.arrived
	m.write("role/demo", m.role(nil))
	m.write("binding-rule/r", fields{"bind_type": "policy", "bind_name": "q"})
	m.mustLogin(m.token())
	cancel() // does not end it half-way
	g.open()
	slow.Wait()
	m.read("binding-rule/consul-a")
	m.read("binding-rule/consul-b")
}

// Storage that does not answer keeps nobody for ever: the change is given up in time,
// and the next one of the same entry has its turn.
func TestStorageThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		s := newStorage()
		if err := b.Setup(t.Context(), &logical.BackendConfig{Logger: logtest.New(), System: logical.TestSystemView(), StorageView: s}); err != nil {
			t.Fatal(err)
		}
		defer b.Cleanup(context.Background())
		hangs := newGate()
		s.does(ofChanges("role/r", func(ctx context.Context, _, _ string, _ func() error) error { return hangs.hold(ctx) }))
		begun := time.Now()
		create := func(ctx context.Context) error {
			_, err := b.HandleRequest(ctx, &logical.Request{Operation: logical.CreateOperation, Path: "role/r", Storage: s, Data: fields{
				"bound_service_account_names": "a", "bound_service_account_namespaces": "b",
			}})
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := create(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != change.StoreTimeout {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		s.around.Store(nil)
		if err := create(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkRoleWrites is writers of different roles, on a storage that takes a
// millisecond for each change as one does that writes to a disk.
func BenchmarkRoleWrites(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("%d writers", writers), func(b *testing.B) {
			m := newMount(b)
			m.storage.does(func(_ context.Context, op, _ string, do func() error) error {
				if op == "put" {
					time.Sleep(time.Millisecond)
				}
				return do()
			})
			left := make(chan int, b.N)
			for i := range b.N {
				left <- i
			}
			close(left)
			b.ResetTimer()
			var all sync.WaitGroup
			for writer := range writers {
				all.Go(func() {
					for range left {
						m.write(fmt.Sprintf("role/r%d", writer), m.role(nil))
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}
