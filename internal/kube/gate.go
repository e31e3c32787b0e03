package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

// openingAtOnce is how many connections a client makes at a time. With HTTP/2, which
// API servers speak, one is enough for all; the others are for what stands before some.
const openingAtOnce = 4

// gate is what every connection of a client goes through. It bounds how many there are,
// how many are made at a time, and how fast they are made anew where they break. A dial
// belongs to an attempt at a request and ends with it: net/http would go on for the
// sake of those to come, who make their own.
type gate struct {
	dialer  *net.Dialer
	open    *semaphore.Weighted // of the most that there may be
	opening *semaphore.Weighted
	broken  upstream.Allowance
	circuit *upstream.Circuit
	meter   *Meter
}

func newGate(timeout time.Duration, most int64, circuit *upstream.Circuit, meter *Meter) *gate {
	return &gate{
		dialer:  &net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second},
		open:    semaphore.NewWeighted(most),
		opening: semaphore.NewWeighted(min(openingAtOnce, most)),
		circuit: circuit,
		meter:   meter,
	}
}

// connectWhileDown is how long a connection may take to be made to an API server that is
// known to be down. What is lost on the way to one is not sent again before its return
// is noticed, so it is better to begin anew.
const connectWhileDown = 2 * time.Second

// errNoConnection is about an attempt that ended while it waited for a connection.
var errNoConnection = errors.New("waiting for a connection")

// dial makes a connection for the attempt that ctx belongs to, whose context ends it.
func (g *gate) dial(ctx context.Context, network, address string, conns *conns) (net.Conn, error) {
	a := attemptIn(ctx)
	// net/http hands in a context that does not end with the request.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()
	if err := g.wait(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoConnection, err)
	}
	if a.connected() { // over one that was made for another meanwhile
		g.unmade(false)
		return nil, errNoConnection
	}
	down := g.circuit.State().Down && !insists(ctx)
	if down {
		ctx, cancel = context.WithTimeout(ctx, connectWhileDown)
		defer cancel()
	}
	raw, err := g.dialer.DialContext(ctx, network, address)
	if err != nil {
		g.unmade(a.ctx.Err() == nil)
		return nil, err
	}
	c := &conn{Conn: raw, gate: g, conns: conns}
	g.meter.Connections.Add(1)
	g.meter.Connected.Add(1)
	conns.add(c)
	if down {
		time.AfterFunc(connectWhileDown, c.giveUp)
	}
	if !a.dial(c) { // it ended meanwhile
		_ = c.Close()
		return nil, a.ctx.Err()
	}
	return c, nil
}

// wait is for the right to make a connection.
func (g *gate) wait(ctx context.Context) error {
	for {
		if err := g.open.Acquire(ctx, 1); err != nil {
			return err
		}
		if err := g.opening.Acquire(ctx, 1); err != nil {
			g.open.Release(1)
			return err
		}
		if insists(ctx) {
			g.broken.BeginAnyhow()
			return nil
		}
		// Only now, since connections may have broken while it waited for its turn.
		pause := g.broken.Begin(time.Now())
		if pause == 0 {
			return nil
		}
		g.opening.Release(1)
		g.open.Release(1)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// unmade gives back the right to make a connection that there is none of.
func (g *gate) unmade(broke bool) {
	g.opening.Release(1)
	g.open.Release(1)
	g.broken.Ended(time.Now(), false, broke)
}

// sleep waits, or fails as the context does.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conn is a connection that gives back its place when it closes.
type conn struct {
	net.Conn
	gate  *gate
	conns *conns

	established atomic.Bool

	mu sync.Mutex
	// users are the attempts that use it. What became of it is known once it is closed
	// and none of them is left.
	users          int
	closed, failed bool
	worked         bool // it carried an answer
	settled        bool
}

// use is called by an attempt before it uses the connection, and letGo once it has told
// what it knows of it.
func (c *conn) use() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users++
}

func (c *conn) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	c.settle()
}

// work is told of an answer.
func (c *conn) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.worked && !c.settled {
		c.gate.broken.Proved()
	}
	c.worked = true
}

// hasWorked tells whether it carried an answer.
func (c *conn) hasWorked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worked
}

// establish is called once the connection can carry requests, or never will.
func (c *conn) establish() {
	if c.established.CompareAndSwap(false, true) {
		c.gate.opening.Release(1)
	}
}

// Close closes the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.settle()
	c.mu.Unlock()
	if first {
		c.establish()
		c.conns.remove(c)
		c.gate.meter.Connections.Add(-1)
		c.gate.open.Release(1)
	}
	return err
}

// fail is told of a request that the connection did not carry to its end. Where that was
// the end of the connection too, it came to nothing.
func (c *conn) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = true
}

func (c *conn) settle() {
	if c.closed && c.users == 0 && !c.settled {
		c.settled = true
		c.gate.broken.Ended(time.Now(), c.worked, c.failed)
	}
}

// giveUp closes a connection that is not established.
func (c *conn) giveUp() {
	if !c.established.Load() {
		c.fail()
		_ = c.Close()
	}
}

// conns are the open connections of one transport.
type conns struct {
	mu  sync.Mutex
	all map[*conn]struct{}
}

func (c *conns) add(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[*conn]struct{}{}
	}
	c.all[one] = struct{}{}
}

func (c *conns) remove(one *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, one)
}

func (c *conns) close() {
	c.mu.Lock()
	all := make([]*conn, 0, len(c.all))
	for one := range c.all {
		all = append(all, one)
	}
	c.mu.Unlock()
	for _, one := range all {
		_ = one.Close()
	}
}
