package consulacl

import (
	"context"
	"sync"
	"time"
)

// undoAfter is when a token that nobody got is taken back, after it was asked for. A
// request that was not answered may be carried out later, so it is tried again although
// it was gone before; Consul gives up what it could not do within seconds. While it cannot
// be reached, the last one is repeated.
var undoAfter = []time.Duration{0, 2 * time.Second, 15 * time.Second, time.Minute}

const (
	// maxUndo bounds what is left to take back at a time; more is left to expire.
	maxUndo = 4096
	// undoAtOnce bounds how many are taken back at a time, so that a Consul that comes
	// back is not met by all of them.
	undoAtOnce = 4
	// giveUpAfter is when a token is left to expire.
	giveUpAfter = time.Hour
)

// undo takes back tokens that nobody got, in the background. What is pending when the
// context ends is left to expire.
type undo struct {
	client *Client
	ctx    context.Context
	turns  chan struct{}

	mu      sync.Mutex
	pending map[string]bool
	running sync.WaitGroup
}

func newUndo(ctx context.Context, c *Client) *undo {
	return &undo{client: c, ctx: ctx, pending: map[string]bool{}, turns: make(chan struct{}, undoAtOnce)}
}

func (u *undo) add(accessor string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.pending[accessor]:
		return
	case u.ctx.Err() != nil || len(u.pending) >= maxUndo:
		u.client.meter.Left.Add(1)
		return
	}
	u.pending[accessor] = true
	u.client.meter.Pending.Add(1)
	u.running.Go(func() { u.run(accessor) })
}

func (u *undo) run(accessor string) {
	done := u.takeBack(accessor)
	u.mu.Lock()
	delete(u.pending, accessor)
	u.mu.Unlock()
	u.client.meter.Pending.Add(-1)
	if done {
		u.client.meter.Undone.Add(1)
	} else {
		u.client.meter.Left.Add(1)
	}
}

// takeBack tells whether the token is certainly gone.
func (u *undo) takeBack(accessor string) bool {
	began := u.client.clock.Now()
	for try := 0; u.client.clock.Now().Sub(began) < giveUpAfter; try++ {
		last := len(undoAfter) - 1
		wait := undoAfter[min(try, last)]
		if try <= last {
			wait -= u.client.clock.Now().Sub(began) // from the beginning
		}
		if wait > 0 && u.client.clock.Sleep(u.ctx, wait) != nil {
			return false
		}
		err := u.once(accessor)
		switch {
		case u.ctx.Err() != nil:
			return false
		case err == nil && try >= last:
			return true
		case err != nil && !FailureOf(err).Outage() && try >= last:
			return false // nobody can take it back with this token
		}
	}
	return false
}

func (u *undo) once(accessor string) error {
	select {
	case u.turns <- struct{}{}:
	case <-u.ctx.Done():
		return u.ctx.Err()
	}
	defer func() { <-u.turns }()
	return u.client.remove(u.ctx, accessor)
}
