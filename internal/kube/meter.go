package kube

import (
	"errors"
	"sync/atomic"
	"time"
)

// Meter is told of requests as they are made. It may outlive a client, and serve
// several; the zero value counts and tells nobody.
type Meter struct {
	// Waiting and Underway are how many requests wait for their turn, and how many
	// have it.
	Waiting, Underway atomic.Int64
	// Done, if set, is called at the end of each request, with how long it took from
	// its turn on, a second attempt included; 0 for one that had no turn. The failure
	// is empty where there is none. It is called on the way of every login and must
	// not block.
	Done func(op string, failure Failure, took time.Duration)
}

// Failures are all that there are.
var Failures = []Failure{
	Unauthorized, Forbidden, NotFound, Gateway, Throttled, ServerError, Timeout, Canceled,
	DNS, TLS, Connection, Malformed, Setup, Busy,
}

// done tells of a request that began at a time, or at none if it had no turn.
func (m *Meter) done(op string, began time.Time, err error) {
	if m.Done == nil {
		return
	}
	var took time.Duration
	if !began.IsZero() {
		took = time.Since(began)
	}
	var failed *Error
	if errors.As(err, &failed) {
		m.Done(op, failed.Failure, took)
		return
	}
	m.Done(op, "", took)
}
