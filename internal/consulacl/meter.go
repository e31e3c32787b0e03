package consulacl

import (
	"sync/atomic"
	"time"
)

// Meter is told of requests and of tokens as they come and go. It may outlive a client,
// and serve several; the zero value counts and tells nobody.
type Meter struct {
	// Done, if set, is called at the end of each request, with how long it took. The
	// failure is empty where there is none.
	Done func(op string, failure Failure, took time.Duration)

	// Minted, Revoked and Undone are how many tokens were made, were taken back since
	// somebody asked, and were taken back since nobody got them.
	Minted, Revoked, Undone atomic.Int64
	// Pending are tokens of which it is not known whether they are there, and that are
	// going to be taken back. Left are those that were given up: they expire by
	// themselves.
	Pending, Left atomic.Int64
}

func (m *Meter) request(op string, failure Failure, took time.Duration) {
	if m.Done != nil {
		m.Done(op, failure, took)
	}
}
