package kube

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

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
