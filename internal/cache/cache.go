package cache

import (
	"context"
	"sync"
	"time"
)

// sweepFrom is how many entries there are before those that nobody uses are looked for.
const sweepFrom = 1024

// Load reads the value of key from source; nil if there is none. last is what it was
// when it was read before, or nil: where it is the same still, that is to be returned.
type Load[S, T any] func(ctx context.Context, source S, key string, last *T) (*T, error)

// Cache remembers values, which are never changed, by key. What is not there is not
// remembered, since anybody may name it. It is safe for concurrent use.
type Cache[S, T any] struct {
	load     Load[S, T]
	now      func() time.Time
	readings *Group[string, *T]

	mu      sync.RWMutex
	entries map[string]*entry[T]
	sweepAt int
}

type entry[T any] struct {
	value *T
	begun time.Time // when the reading of it began
	// triedAt is when a reading ahead of time began last; guarded by the cache's lock.
	triedAt time.Time
}

// New returns a cache that loads under ctx, each for no longer than timeout.
func New[S, T any](ctx context.Context, timeout time.Duration, now func() time.Time, load Load[S, T]) *Cache[S, T] {
	return &Cache[S, T]{
		load: load, now: now, readings: NewGroup[string, *T](ctx, timeout),
		entries: map[string]*entry[T]{}, sweepAt: sweepFrom,
	}
}

// Peek returns what is remembered of key, if it is young.
func (c *Cache[S, T]) Peek(key string) (*T, bool) {
	e := c.entry(key)
	if e == nil || c.age(e) >= ExpectAfter {
		return nil, false
	}
	return e.value, true
}

// Get returns the value of key, or nil if there is none. The error is the loader's, or
// wraps ErrGaveUp.
func (c *Cache[S, T]) Get(ctx context.Context, source S, key string) (*T, error) {
	e := c.entry(key)
	if e != nil {
		switch age := c.age(e); {
		case age < ExpectAfter:
			return e.value, nil
		case age < BelieveFor:
			c.readAhead(source, key, e)
			return e.value, nil
		}
	}
	return c.readings.Do(ctx, key, c.reading(source, key))
}

// Drop forgets a key. What was remembered of it, and whatever is read of it by a
// reading that is under way, is for those who came before.
func (c *Cache[S, T]) Drop(key string) {
	c.readings.Forget(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
}

// Len is how many keys are remembered.
func (c *Cache[S, T]) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}

func (c *Cache[S, T]) entry(key string) *entry[T] {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[key]
}

func (c *Cache[S, T]) age(e *entry[T]) time.Duration { return c.now().Sub(e.begun) }

// readAhead reads key again without keeping anybody waiting.
func (c *Cache[S, T]) readAhead(source S, key string, e *entry[T]) {
	now := c.now()
	c.mu.Lock()
	again := now.Sub(e.triedAt) >= RetryAfter
	if again {
		e.triedAt = now
	}
	c.mu.Unlock()
	if again {
		c.readings.Begin(key, c.reading(source, key))
	}
}

func (c *Cache[S, T]) reading(source S, key string) Read[*T] {
	begun := c.now()
	return Read[*T]{
		From: func(ctx context.Context) (*T, error) {
			var last *T
			if e := c.entry(key); e != nil {
				last = e.value
			}
			return c.load(ctx, source, key, last)
		},
		Keep: func(value *T) { c.keep(key, value, begun) },
	}
}

func (c *Cache[S, T]) keep(key string, value *T, begun time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value == nil {
		delete(c.entries, key)
		return
	}
	c.entries[key] = &entry[T]{value: value, begun: begun}
	if len(c.entries) >= c.sweepAt {
		c.sweep()
	}
}

// sweep forgets what would have to be read again anyway. It is done whenever the number
// of entries has doubled, so that it costs little for each.
func (c *Cache[S, T]) sweep() {
	for key, e := range c.entries {
		if c.age(e) >= BelieveFor {
			delete(c.entries, key)
		}
	}
	c.sweepAt = max(sweepFrom, 2*len(c.entries))
}
