package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/contain"
)

// ErrGaveUp is wrapped by the error of a caller whose own context ended while it
// waited for a reading. The reading itself goes on.
var ErrGaveUp = errors.New("gave up waiting for a reading")

// maxAbandoned is how many readings of a group go on although nobody waits for them
// any more. Others end with the last who waits: whoever may choose keys, and hangs up,
// must not be able to pile up readings while storage hangs.
const maxAbandoned = 16

// Group makes one reading of each key at a time, for all who wait for it. A reading
// runs under the context of the group and not under one of those who wait, so the
// first of them to hang up takes nothing away from the others.
type Group[K comparable, T any] struct {
	ctx     context.Context
	timeout time.Duration

	mu        sync.Mutex
	readings  map[K]*reading[T]
	abandoned int
}

// NewGroup returns a group whose readings end with ctx, and after timeout unless that
// is 0.
func NewGroup[K comparable, T any](ctx context.Context, timeout time.Duration) *Group[K, T] {
	return &Group[K, T]{ctx: ctx, timeout: timeout, readings: map[K]*reading[T]{}}
}

// reading is one reading. Its fields but value and err are guarded by the group's
// lock; those two are read once done is closed.
type reading[T any] struct {
	done   chan struct{}
	cancel context.CancelFunc
	value  T
	err    error

	waiting              int
	abandoned, forgotten bool
}

// Read says how to read a key.
type Read[T any] struct {
	// From reads.
	From func(ctx context.Context) (T, error)
	// Keep is called with what was read before anybody gets it; not if that failed,
	// and not if the key was forgotten since the reading began. It may be nil, and
	// must not call the group.
	Keep func(T)
}

// Do returns what a reading of key finds: of one that is under way, if it began after
// the key was last forgotten, or else of a new one.
func (g *Group[K, T]) Do(ctx context.Context, key K, read Read[T]) (T, error) {
	r := g.join(key, read)
	select {
	case <-r.done:
		return r.value, r.err
	default:
	}
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		g.leave(key, r)
		var none T
		return none, fmt.Errorf("%w: %w", ErrGaveUp, ctx.Err())
	}
}

// Begin is Do for one who does not wait.
func (g *Group[K, T]) Begin(key K, read Read[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.readings[key] == nil {
		g.begin(key, read)
	}
}

// Forget makes sure that who comes from now on gets nothing of a reading that began
// before now, and that nothing of it is kept.
func (g *Group[K, T]) Forget(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.readings[key]; r != nil {
		r.forgotten = true
		delete(g.readings, key)
	}
}

func (g *Group[K, T]) join(key K, read Read[T]) *reading[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.readings[key]
	if r == nil {
		r = g.begin(key, read)
	}
	r.waiting++
	if r.abandoned {
		r.abandoned = false
		g.abandoned--
	}
	return r
}

func (g *Group[K, T]) begin(key K, read Read[T]) *reading[T] {
	ctx, cancel := g.context()
	r := &reading[T]{done: make(chan struct{}), cancel: cancel}
	g.readings[key] = r
	go func() {
		defer cancel()
		value, err := from(ctx, read)
		g.end(key, r, value, err, read.Keep)
	}()
	return r
}

// from reads. A panic is an error for all who wait: nobody stands above this goroutine who
// could keep it from ending the process.
func from[T any](ctx context.Context, read Read[T]) (value T, err error) {
	defer contain.Panics(&err)
	return read.From(ctx)
}

func (g *Group[K, T]) context() (context.Context, context.CancelFunc) {
	if g.timeout == 0 {
		return context.WithCancel(g.ctx)
	}
	return context.WithTimeout(g.ctx, g.timeout)
}

func (g *Group[K, T]) end(key K, r *reading[T], value T, err error, keep func(T)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.value, r.err = value, err
	if !r.forgotten {
		delete(g.readings, key)
		if err == nil && keep != nil {
			keep(value)
		}
	}
	if r.abandoned {
		g.abandoned--
	}
	close(r.done)
}

// leave is called by one who waits no longer.
func (g *Group[K, T]) leave(key K, r *reading[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.waiting--
	select {
	case <-r.done:
		return
	default:
	}
	if r.waiting > 0 {
		return
	}
	if g.abandoned < maxAbandoned {
		g.abandoned++
		r.abandoned = true
		return
	}
	if g.readings[key] == r {
		delete(g.readings, key) // nobody may join what is about to fail
	}
	r.forgotten = true
	r.cancel()
}
