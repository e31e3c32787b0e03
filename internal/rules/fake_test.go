package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
)

var errSealed = errors.New("storage is sealed")

// fake is a storage whose reads find what is there when they begin. A test lets them
// end, or fail.
type fake struct {
	logical.InmemStorage
	gets, lists atomic.Int64

	mu    sync.Mutex
	gate  chan struct{}          // reads end when it is closed; nil is at once
	fails func(name string) bool // of reads; nil is none
}

func (f *fake) hold() (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = gate
	return func() {
		f.mu.Lock()
		f.gate = nil
		f.mu.Unlock()
		close(gate)
	}
}

func (f *fake) fail(which func(name string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = which
}

func (f *fake) wait(ctx context.Context, name string) error {
	f.mu.Lock()
	gate, fails := f.gate, f.fails
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fails != nil && fails(name) {
		return errSealed
	}
	return nil
}

func (f *fake) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	f.gets.Add(1)
	entry, err := f.InmemStorage.Get(ctx, key)
	if err := f.wait(ctx, strings.TrimPrefix(key, "rule/")); err != nil {
		return nil, err
	}
	return entry, err
}

func (f *fake) List(ctx context.Context, prefix string) ([]string, error) {
	f.lists.Add(1)
	names, err := f.InmemStorage.List(ctx, prefix)
	if err := f.wait(ctx, ""); err != nil {
		return nil, err
	}
	return names, err
}

// bed is a store beside its storage. All of it is in a bubble with a clock of its own.
type bed struct {
	*Store
	t        *testing.T
	fake     *fake
	unusable int
	end      context.CancelFunc
}

func inBubble(t *testing.T, run func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		b := &bed{t: t, fake: &fake{}, end: end}
		b.Store = New(ctx, Options{
			Prefix: "rule/",
			Decode: func(name string, stored []byte) (binding.Rule, error) {
				rule := binding.Rule{}
				err := json.Unmarshal(stored, &rule)
				rule.Name = name
				return rule, err
			},
			Timeout:  time.Minute,
			Now:      time.Now,
			Unusable: func(string, error) { b.unusable++ },
			Read:     func() {},
		})
		run(b)
	})
}

// stores puts a rule into storage, and tells nobody.
func (b *bed) stores(name, grants string) {
	b.t.Helper()
	value, _ := json.Marshal(binding.Rule{BindType: binding.BindPolicy, BindName: grants})
	if err := b.fake.Put(b.t.Context(), &logical.StorageEntry{Key: "rule/" + name, Value: value}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) deletes(name string) {
	b.t.Helper()
	if err := b.fake.Delete(b.t.Context(), "rule/"+name); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) storesMany(n int) {
	b.t.Helper()
	for i := range n {
		b.stores(fmt.Sprintf("r%06d", i), "p")
	}
}

// finds is what the rule of that name grants, "" if there is none.
func (b *bed) finds(name, want string) {
	b.t.Helper()
	set, err := b.Get(b.t.Context(), b.fake)
	if err != nil {
		b.t.Error(err)
		return
	}
	if rule, _ := set.Get(name); rule.BindName != want {
		b.t.Errorf("%s grants %q, want %q", name, rule.BindName, want)
	}
}

// wantReads checks how many reads there were since it was last called.
func (b *bed) wantReads(lists, gets int64) {
	b.t.Helper()
	synctest.Wait()
	if l, g := b.fake.lists.Swap(0), b.fake.gets.Swap(0); l != lists || g != gets {
		b.t.Errorf("%d lists and %d reads, want %d and %d", l, g, lists, gets)
	}
}

// remembered is how many names the store remembers beside the rules.
func (b *bed) remembered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.stale) + len(b.confirmed)
}
