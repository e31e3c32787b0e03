// Package upstream holds what is known of one API server beyond a single request:
// whether it is down, how many requests a second it takes, and which connections to it
// can be relied on. Each of these is a small state machine that is told the time, asks
// nobody, and can be read at once. The package does no I/O.
package upstream

import (
	"sync"
	"time"
)

// How a Circuit opens, and how an API server that is down is asked.
const (
	// DownAfter is how many requests in a row get no answer before an API server counts
	// as down.
	DownAfter = 5
	// ProbeEvery is how often one request is let through then. It bounds how long after
	// its return an API server is still held to be down.
	ProbeEvery = 750 * time.Millisecond
)

// Circuit knows whether an API server is down: no request of the last DownAfter got an
// answer. Every answer, be it a refusal, says that it is not. What fails on a connection
// that answered before counts once however many there are: the end of a connection, such
// as that of a load balancer which is replaced, takes all requests with it that are under
// way, and each may find the API server well on another. While it is down, one
// request each ProbeEvery is asked, and the others need not wait for what is known. The
// zero value is that of an API server that is up. It is safe for concurrent use.
type Circuit struct {
	mu       sync.Mutex
	failures int       // since the last answer
	worn     bool      // one of them was on a connection that answered before
	since    time.Time // of the first of those
	answered time.Time // the last answer
	probed   time.Time
	last     error         // the last failure
	back     chan struct{} // closed by the next answer, if anybody waits for it
}

// Ask tells whether a request may be made now, and if not, why the last one failed.
func (c *Circuit) Ask(now time.Time) (may bool, last error) { return c.ask(now, true) }

// Peek is Ask for a request that has something else to wait for first.
func (c *Circuit) Peek(now time.Time) (may bool, last error) { return c.ask(now, false) }

func (c *Circuit) ask(now time.Time, take bool) (may bool, last error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < DownAfter {
		return true, nil
	}
	if now.Sub(c.probed) < ProbeEvery {
		return false, c.last
	}
	if take {
		c.probed = now
	}
	return true, nil
}

// Answered is told of every answer.
func (c *Circuit) Answered(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures, c.worn, c.answered, c.last = 0, false, now, nil
	if c.back != nil {
		close(c.back)
		c.back = nil
	}
}

// Back is closed by the next answer of an API server that is down; nil if it is up.
func (c *Circuit) Back() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < DownAfter {
		return nil
	}
	if c.back == nil {
		c.back = make(chan struct{})
	}
	return c.back
}

// Due is after which time one who waits may ask.
func (c *Circuit) Due(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < DownAfter {
		return ProbeEvery
	}
	return max(0, ProbeEvery-now.Sub(c.probed))
}

// Failed is told of a request that began at a time and got no answer. One that began
// before the last answer says nothing: others were answered meanwhile. worn says that it
// may have been for its connection, which had answered before.
func (c *Circuit) Failed(began, now time.Time, worn bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if began.Before(c.answered) || worn && c.worn {
		return
	}
	c.worn = c.worn || worn
	if c.failures == 0 {
		c.since = now
	}
	c.failures++
	c.last = err
	if c.failures == DownAfter {
		c.probed = now
	}
}

// CircuitState is what a Circuit knows.
type CircuitState struct {
	Down     bool
	Failures int       // in a row
	Since    time.Time // of the first of those; zero if there are none
}

// State is what the circuit knows now.
func (c *Circuit) State() CircuitState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures == 0 {
		return CircuitState{}
	}
	return CircuitState{Down: c.failures >= DownAfter, Failures: c.failures, Since: c.since}
}
