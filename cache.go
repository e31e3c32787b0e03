package main

import (
	"context"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

// cache remembers what was read from the host's storage, parsed and immutable,
// by key. Each read of storage is a round trip to the host's process, so the
// steady state must do none. Entries are dropped when this node writes them and
// when the host says that another one did.
//
// Absent keys are not remembered: anybody may name roles that do not exist.
type cache[T any] struct {
	load func(ctx context.Context, s logical.Storage, key string) (*T, error)

	mu         sync.RWMutex
	entries    map[string]*T
	generation uint64
}

func newCache[T any](load func(ctx context.Context, s logical.Storage, key string) (*T, error)) *cache[T] {
	return &cache[T]{load: load, entries: map[string]*T{}}
}

// peek returns what is remembered of key.
func (c *cache[T]) peek(key string) (*T, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	value, ok := c.entries[key]
	return value, ok
}

// get returns the value of key, or nil if there is none. No lock is held while
// it loads. A value that was loaded while something was dropped is returned but
// not kept, since it may be the one from before.
func (c *cache[T]) get(ctx context.Context, s logical.Storage, key string) (*T, error) {
	c.mu.RLock()
	value, ok := c.entries[key]
	generation := c.generation
	c.mu.RUnlock()
	if ok {
		return value, nil
	}
	value, err := c.load(ctx, s, key)
	if err != nil || value == nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return value, nil
	}
	if first, ok := c.entries[key]; ok {
		return first, nil // of several that loaded it at once all use one
	}
	c.entries[key] = value
	return value, nil
}

// drop forgets a key and returns what was remembered, or nil.
func (c *cache[T]) drop(key string) *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	dropped := c.entries[key]
	delete(c.entries, key)
	return dropped
}
