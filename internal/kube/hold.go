package kube

import (
	"context"
	"errors"
	"time"
)

type endingKey struct{}

// Until has a refusal held back no longer than until ending is closed; nil never is.
func Until(ctx context.Context, ending <-chan struct{}) context.Context {
	return context.WithValue(ctx, endingKey{}, ending)
}

func endingOf(ctx context.Context) <-chan struct{} {
	ending, _ := ctx.Value(endingKey{}).(<-chan struct{})
	return ending
}

// HoldBack is for who is about to be refused because the API server was not asked. Where
// many are told so at a time it waits a while: who is refused at once comes back at once,
// and would take the processor from other clusters. Whoever waits is let in as soon as
// there is a chance: again is called when the API server has answered somebody, in turn to
// find out whether it does, and at the end. Any answer ends the waiting. The refusal stands
// if ctx, the client or the process (Until) ends meanwhile.
func (c *Client) HoldBack(ctx context.Context, refused error, again func() error) error {
	if !errors.Is(refused, ErrNotAsked) || insists(ctx) || ctx.Err() != nil {
		return refused
	}
	back := c.circuit.Back()
	if back == nil && c.pace.Rate(c.now()) == 0 {
		return again() // it has answered since
	}
	hold := c.refusals.Hold(c.now())
	if hold == 0 {
		return refused
	}
	defer c.refusals.Told()
	if deadline, ok := ctx.Deadline(); ok {
		hold = min(hold, time.Until(deadline)*3/4) // the rest is for asking
	}
	over := time.NewTimer(hold)
	defer over.Stop()
	return c.wait(ctx, over.C, back, refused, again)
}

// hardlyAny is how long whoever is on the lookout waits at least: what asks again may come
// to its refusal without having asked the API server.
const hardlyAny = 50 * time.Millisecond

// wait is the waiting of HoldBack. Of all who wait one is on the lookout: he asks when one
// may. He makes place for the next before he does, for his answer may never come, and goes
// to the end of the line if none came.
func (c *Client) wait(ctx context.Context, over <-chan time.Time, back <-chan struct{}, refused error, again func() error) error {
	var due <-chan time.Time // while on the lookout
	lookout := c.lookout
	leave := func() {
		if due != nil {
			<-c.lookout
			due, lookout = nil, c.lookout
		}
	}
	defer leave()
	ending := endingOf(ctx)
	for {
		select {
		case lookout <- struct{}{}:
			lookout, due = nil, time.After(max(c.circuit.Due(c.now()), hardlyAny))
		case <-due:
			leave()
			if refused = again(); !c.isUnasked(refused) {
				return refused
			}
		case <-back:
			leave()
			return again()
		case <-over:
			leave()
			if may, _ := c.circuit.Peek(c.now()); !may {
				return refused
			}
			return again()
		case <-ctx.Done():
			return refused
		case <-c.closed:
			return refused
		case <-ending:
			return refused
		}
	}
}

// isUnasked tells whether an error leaves it at what was known before: nobody asked, or
// nobody answered.
func (c *Client) isUnasked(err error) bool {
	if err == nil {
		return false
	}
	switch failureOf(err) {
	case Timeout, Connection, DNS, TLS:
		return errors.Is(err, ErrNotAsked) || c.circuit.State().Down
	}
	return errors.Is(err, ErrNotAsked)
}
