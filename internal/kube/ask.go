package kube

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotAsked is wrapped by the error of a request that was not made, since the API
// server is known to be down, or to let nothing in. The failure is that of those who
// were told so.
var ErrNotAsked = errors.New("the API server was not asked again")

type insistKey struct{}

// Insist makes requests that are made whatever is known of the API server: those of an
// operator who wants to know what it answers now.
func Insist(ctx context.Context) context.Context {
	return context.WithValue(ctx, insistKey{}, true)
}

func insists(ctx context.Context) bool {
	insists, _ := ctx.Value(insistKey{}).(bool)
	return insists
}

// do makes a request that changes nothing, at most twice: if the first attempt got no
// answer its connection may have been a dead one, and an API server may ask to come
// back. loginToken is the credential where the client has no reviewer's. What is said in
// an error has no secret in it.
func (c *Client) do(ctx context.Context, op, loginToken string, request func(context.Context) error) error {
	known := &sent{plain: c.host.Scheme == "http", certified: c.certified && !c.byClient(ctx, loginToken)}
	if may, last := c.circuit.Peek(c.now()); !may && !insists(ctx) {
		err := notAsked(op, last)
		c.meter.done(op, 0, err, c.byClient(ctx, loginToken))
		return known.cleaned(err)
	}
	known.secrets = c.Secrets(loginToken)
	return known.cleaned(c.ask(context.WithValue(ctx, sentKey{}, known), op, loginToken, request))
}

func (c *Client) ask(ctx context.Context, op, loginToken string, request func(context.Context) error) (err error) {
	var took time.Duration
	defer func() { c.meter.done(op, took, err, c.byClient(ctx, loginToken)) }()
	ctx, cancel := context.WithTimeout(withFallbackCredential(ctx, loginToken), 2*c.timeout)
	defer cancel()
	first, err := c.once(ctx, op, request, &took)
	if err == nil || ctx.Err() != nil || !c.worthAnother(ctx, first, err) {
		return err
	}
	if first.sentAway {
		ctx = withOwnConnection(ctx)
	}
	_, again := c.once(ctx, op, request, &took)
	if errors.Is(again, ErrNotAsked) || classed(again, Busy) {
		return err // what was answered says more
	}
	return again
}

// byClient tells whether a request is made by a credential that a client brought: the second
// token of a login, or the only one where there is no reviewer.
func (c *Client) byClient(ctx context.Context, loginToken string) bool {
	if isAskedByAClient(ctx) {
		return true
	}
	_, other := ctx.Value(credentialKey{}).(string)
	return loginToken != "" && !other && !c.certified && c.credential() == ""
}

// worthAnother tells whether a second attempt may end otherwise, and waits for the time
// to make it. A failure may be that of the connection alone; an API server that wants to
// be left alone for a while says for how long.
func (c *Client) worthAnother(ctx context.Context, first *attempt, err error) bool {
	if first == nil {
		return false // it was not made
	}
	if first.back < 0 && first.otherwise || worthAFreshConnection(err) {
		return true
	}
	deadline, _ := ctx.Deadline()
	return first.back >= 0 && time.Now().Add(first.back).Before(deadline) && sleep(ctx, first.back) == nil
}

// once makes one attempt, when its time has come. The attempt is nil if it came to none.
func (c *Client) once(ctx context.Context, op string, request func(context.Context) error, took *time.Duration) (*attempt, error) {
	if may, last := c.circuit.Peek(c.now()); !may && !insists(ctx) {
		return nil, notAsked(op, last)
	}
	c.meter.Waiting.Add(1)
	err := c.turn(ctx)
	c.meter.Waiting.Add(-1)
	if err != nil {
		if errors.Is(err, ErrNotAsked) {
			return nil, &Error{Op: op, Failure: c.turnedAway.Load().(Failure), Err: err}
		}
		return nil, &Error{Op: op, Failure: busyOrCanceled(err), Err: fmt.Errorf("waiting for a turn: %w", err)}
	}
	defer c.turns.Release(1)
	if may, last := c.circuit.Ask(c.now()); !may && !insists(ctx) {
		return nil, notAsked(op, last)
	}
	c.meter.Underway.Add(1)
	defer c.meter.Underway.Add(-1)

	a, err := c.attempt(ctx, op, request)
	*took += time.Since(a.began)
	c.learn(a, err)
	a.letGo()
	return a, err
}

func (c *Client) attempt(ctx context.Context, op string, request func(context.Context) error) (*attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	a := newAttempt(ctx, c.now())
	defer a.end()
	defer cancel()
	err := wrap(op, ended(ctx, request(a.ctx)))
	a.sentAway = sentAway(err)
	return a, err
}

// ended is an error of a request. The end of its context can look like an answer that was
// cut short.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// turn waits for what an attempt needs before it goes out: the time at which the API
// server will take it, and a place among those under way.
func (c *Client) turn(ctx context.Context) error {
	if c.pace.Rate(c.now()) > 0 && !insists(ctx) {
		if err := c.waitForPace(ctx); err != nil {
			return err
		}
	}
	return c.turns.Acquire(ctx, 1)
}

// waitForPace waits, one after the other, until the API server is likely to let a
// request in. Who would wait in vain is told so at once.
func (c *Client) waitForPace(ctx context.Context) error {
	before := c.pacing.Add(1) - 1
	defer c.pacing.Add(-1)
	deadline, _ := ctx.Deadline()
	if rate := c.pace.Rate(c.now()); rate > 0 && float64(before)/rate > time.Until(deadline).Seconds() {
		return fmt.Errorf("%w: it throttles, and more are waiting than it lets in in time", ErrNotAsked)
	}
	if err := c.paced.Acquire(ctx, 1); err != nil {
		return err
	}
	defer c.paced.Release(1)
	for {
		verdict := c.pace.Take(c.now())
		switch {
		case verdict.Hopeless:
			return fmt.Errorf("%w: it throttles, and let nothing in for a while", ErrNotAsked)
		case verdict.Wait == 0:
			return nil
		}
		if err := sleep(ctx, verdict.Wait); err != nil {
			return err
		}
	}
}

// worthAFreshConnection tells whether a failure may be that of the connection alone.
func worthAFreshConnection(err error) bool {
	return classed(err, Timeout) || classed(err, Connection)
}

func classed(err error, as Failure) bool { return err != nil && failureOf(err) == as }

// failureOf is the failure of an error of wrap, and "" for none.
func failureOf(err error) Failure {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Failure
	}
	return ""
}

// notAsked is for who is not let through to an API server that is down: the last failure
// is what keeps on happening.
func notAsked(op string, last error) error {
	return &Error{Op: op, Failure: failureOf(last), Err: &unasked{errors.Unwrap(last)}}
}

// unasked is ErrNotAsked where the last requests failed. Its text is made when it is read.
type unasked struct{ last error }

func (u *unasked) Error() string {
	return fmt.Sprintf("%v, since it gave no answer to the last requests; the last failure was %v", ErrNotAsked, u.last)
}

func (u *unasked) Unwrap() []error { return []error{ErrNotAsked, u.last} }

func busyOrCanceled(err error) Failure {
	if errors.Is(err, context.Canceled) {
		return Canceled
	}
	return Busy
}
