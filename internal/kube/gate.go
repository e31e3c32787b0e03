package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
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
	c := &conn{Conn: gather(raw), gate: g, conns: conns}
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
