package kube

import (
	"errors"
	"time"

	"golang.org/x/net/http2"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

// learn takes down what an attempt says about the API server and the way there.
func (c *Client) learn(a *attempt, err error) {
	now := c.now()
	// What is kept of the error is told to others, and must hold nothing that was sent.
	kept := func() error {
		var failed *Error
		errors.As(err, &failed)
		sentIn(a.ctx).clear(failed)
		return &Error{Failure: failed.Failure, Err: failed.Err}
	}
	switch failure := failureOf(err); failure {
	case Canceled, Setup, Busy:
		// Nothing is known: it was not asked, or not waited for.
	case Timeout:
		if time.Since(a.began) < c.timeout {
			return // the time was that of who asked
		}
		worn := a.broke()
		if a.line != nil {
			a.lines.Silent(a.line, a.asked)
		}
		c.circuit.Failed(a.asked, now, worn, kept())
	case Connection, DNS, TLS:
		if a.sentAway && !wantsOwnConnection(a.ctx) {
			return // it is there, and ended the connection because of another request
		}
		worn := false
		// A stream that was reset came over a connection that is alive.
		if stream := new(http2.StreamError); !errors.As(err, stream) {
			worn = a.broke()
		}
		c.circuit.Failed(a.asked, now, worn, kept())
	default:
		a.worked()
		c.circuit.Answered(now)
		if a.line != nil {
			a.lines.Answered(a.line, now)
		}
		if failure == Throttled || failure == ServerError && a.back >= 0 {
			c.turnedAway.Store(failure)
			c.pace.TurnedAway(now)
		} else {
			c.pace.LetIn(now)
		}
	}
}

// State is what a client knows of its API server at a moment.
type State struct {
	Circuit upstream.CircuitState
	Lines   upstream.LinesState
	// Rate is how many requests a second are let go, where the API server throttles; 0
	// is without bound.
	Rate float64
	// Held is how many refusals are held back.
	Held int
}

// State is what the client knows now.
func (c *Client) State() State {
	return State{Circuit: c.circuit.State(), Lines: c.lines.State(), Rate: c.pace.Rate(c.now()), Held: c.refusals.Held()}
}
