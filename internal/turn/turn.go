// Package turn lets those who change the same thing do so one after the other. Things
// are named by keys; who changes one waits for nobody who changes another.
package turn

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Keys are the keys that somebody changes or waits for; no others take memory. The
// zero value is ready, and safe for concurrent use.
type Keys struct {
	mu   sync.Mutex
	keys map[string]*key
}

// key is taken by putting something into its channel. users hold it or wait.
type key struct {
	taken chan struct{}
	users int
}

// Take waits for the turn of all of keys, and returns what gives them back. The error
// is that of the context, and then nothing is held. Keys are taken in the order of
// their names, so two who need several cannot wait for each other.
func (k *Keys) Take(ctx context.Context, keys ...string) (release func(), err error) {
	sorted := slices.Sorted(maps.Keys(setOf(keys)))
	for i, name := range sorted {
		if err := k.take(ctx, name); err != nil {
			k.release(sorted[:i])
			return nil, err
		}
	}
	return func() { k.release(sorted) }, nil
}

// Waiting is how many have the turn of key or wait for it.
func (k *Keys) Waiting(key string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if held := k.keys[key]; held != nil {
		return held.users
	}
	return 0
}

func setOf(names []string) map[string]struct{} {
	set := make(map[string]struct{}, len(names))
	for _, name := range names {
		set[name] = struct{}{}
	}
	return set
}

func (k *Keys) take(ctx context.Context, name string) error {
	held := k.use(name)
	select {
	case held.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		k.leave(name)
		return ctx.Err()
	}
}

func (k *Keys) use(name string) *key {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[string]*key{}
	}
	if k.keys[name] == nil {
		k.keys[name] = &key{taken: make(chan struct{}, 1)}
	}
	k.keys[name].users++
	return k.keys[name]
}

func (k *Keys) leave(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys[name].users--; k.keys[name].users == 0 {
		delete(k.keys, name)
	}
}

func (k *Keys) release(names []string) {
	for _, name := range names {
		k.mu.Lock()
		<-k.keys[name].taken // never waits: it is held
		k.mu.Unlock()
		k.leave(name)
	}
}
