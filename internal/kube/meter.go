package kube

import (
	"sync/atomic"
	"time"
)

// Meter is told of requests as they are made. It may outlive a client, and serve
// several; the zero value counts and tells nobody.
type Meter struct {
	// Waiting and Underway are how many requests wait for their turn, and how many
	// have it.
	Waiting, Underway atomic.Int64
	// Sent is how many requests left: each attempt is one.
	Sent atomic.Int64
	// Connections are those that are open, and Connected how many were made.
	Connections, Connected atomic.Int64
	// Done, if set, is called at the end of each request, with how long its attempts
	// took together; 0 for one that had no turn. The failure
	// is empty where there is none. It is called on the way of every login and must
	// not block.
	Done func(op string, failure Failure, took time.Duration)
}

// Failures are all that there are.
var Failures = []Failure{
	Unauthorized, Forbidden, NotFound, Gateway, Throttled, ServerError, Timeout, Canceled,
	DNS, TLS, Connection, Malformed, Setup, Busy, ClientRefused,
}

// done tells of a request that took a time since its turn; 0 if it had none. byClient says by
// whose credential it was made.
func (m *Meter) done(op string, took time.Duration, err error, byClient bool) {
	if m.Done == nil {
		return
	}
	failure := failureOf(err)
	if byClient && (failure == Unauthorized || failure == Forbidden) {
		failure = ClientRefused
	}
	m.Done(op, failure, took)
}
