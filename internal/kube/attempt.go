package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

type attemptKey struct{}

// attempt is one attempt at a request: what it used, and what was said about coming back.
type attempt struct {
	ctx   context.Context
	began time.Time
	asked time.Time // the same by the client's clock

	mu     sync.Mutex
	lines  *upstream.Lines[*transport] // those that line is of
	line   *line
	ended  bool
	dialed *conn // made for this attempt
	used   *conn // that the request went out on
	// back is how long the API server wants to be left alone; negative if it did not
	// say.
	back time.Duration
	// sentAway says that the API server ended the connection, and did not look at it.
	sentAway bool
	// otherwise says that another attempt would be made in another way.
	otherwise bool
	// giveBack gives back the turn to read a long answer; nil without one.
	giveBack func()
}

// newAttempt begins one, within a context that knows it.
func newAttempt(ctx context.Context, asked time.Time) *attempt {
	a := &attempt{began: time.Now(), asked: asked, back: -1}
	ctx = context.WithValue(ctx, attemptKey{}, a)
	a.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) { a.shaken(err) },
		GotConn:          func(info httptrace.GotConnInfo) { a.got(info.Conn) },
	})
	return a
}

// attemptIn is the attempt that a context belongs to. Every request is part of one.
func attemptIn(ctx context.Context) *attempt { return ctx.Value(attemptKey{}).(*attempt) }

// dial notes a connection that was made for the attempt; not if it has ended.
func (a *attempt) dial(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return false
	}
	a.use(&a.dialed, c)
	return true
}

// use has a connection take the place of the one before, if there was one.
func (a *attempt) use(place **conn, c *conn) {
	c.use()
	if *place != nil {
		(*place).letGo()
	}
	*place = c
}

// connected tells whether the request has gone out already.
func (a *attempt) connected() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used != nil
}

func (a *attempt) shaken(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dialed != nil && err == nil {
		a.dialed.establish()
	}
}

func (a *attempt) got(used net.Conn) {
	for {
		if c, ok := used.(*conn); ok {
			c.establish()
			a.mu.Lock()
			defer a.mu.Unlock()
			if !a.ended {
				a.use(&a.used, c)
			}
			return
		}
		over, ok := used.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		used = over.NetConn()
	}
}

// takeTurn waits for the turn to read what has come.
func (a *attempt) takeTurn(turn func(context.Context) (func(), error)) (err error) {
	if turn != nil && a.giveBack == nil {
		if a.giveBack, err = turn(a.ctx); err != nil {
			return fmt.Errorf("%w: %w", errNoTurn, err)
		}
	}
	return nil
}

// errNoTurn is about an answer that came, and nobody had the time to read.
var errNoTurn = errors.New("waiting for the turn to read a long answer")

// end is called once the request is over. A connection that was made for it and is not
// ready yet is given up: nobody waits for it.
func (a *attempt) end() {
	a.mu.Lock()
	a.ended = true
	dialed := a.dialed
	a.mu.Unlock()
	if a.giveBack != nil {
		a.giveBack()
	}
	if dialed != nil && !dialed.established.Load() {
		_ = dialed.Close()
	}
}

// letGo is called once everything was told of the connections of the attempt.
func (a *attempt) letGo() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range []*conn{a.dialed, a.used} {
		if c != nil {
			c.letGo()
		}
	}
}

// broke tells the connection of the attempt that it may have been the reason why there
// was no answer. It says whether that connection had carried answers before.
func (a *attempt) broke() (worn bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used != nil {
		a.used.fail()
		return a.used.hasWorked()
	}
	if a.dialed != nil {
		a.dialed.fail()
	}
	return false
}

// worked tells the connection of the attempt that it carried an answer.
func (a *attempt) worked() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used != nil {
		a.used.work()
	}
}

// answered notes what an answer says beside its content.
func (a *attempt) answered(response *http.Response) {
	switch code := response.StatusCode; {
	case code != http.StatusTooManyRequests && code < http.StatusInternalServerError:
		return
	}
	if back, ok := retryAfter(response.Header, time.Now()); ok {
		a.mu.Lock()
		a.back = back
		a.mu.Unlock()
	}
}

// retryAfter reads the header of that name, which has seconds or a date. A date counts
// from that of the answer, whose clock it is by.
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		const day = 24 * 60 * 60
		return time.Duration(min(max(seconds, 0), day)) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now)), true
}
