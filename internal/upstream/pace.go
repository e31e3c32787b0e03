package upstream

import (
	"sync"
	"time"
)

const (
	// slowest is the rate at which an API server that throttles is asked at least, in
	// requests a second.
	slowest = 1
	// cutEvery is how often the rate is lowered at most: answers to requests that are
	// under way already say nothing new.
	cutEvery = time.Second
	// quietAfter is how long after the last throttling the rate is given up.
	quietAfter = 10 * time.Second
	// few requests may go together whatever the rate, so that a login here and there does
	// not wait; and of many a second, this part of them.
	few    = 4
	atOnce = 0.02
	// starvedAfter is how long nothing at all was let in before only probes are sent.
	starvedAfter = 3 * time.Second
)

// Pace finds out how many requests a second an API server lets in that turns others
// away (429, or 503 with a time to come back). Requests that would be turned away cost
// it as much as those that are not, so they are held back here. The zero value holds
// nothing back. It is safe for concurrent use.
type Pace struct {
	mu        sync.Mutex
	rate      float64   // a second; 0 is without bound
	ready     float64   // requests that may go now
	at        time.Time // of ready and rate
	admitted  [2]int    // in this second and the one before
	second    time.Time // when this one began
	letIn     time.Time // the last that was let in
	throttled time.Time // the last that was not
	cut       time.Time // when the rate was lowered last
}

// Verdict is what a request is to do.
type Verdict struct {
	// Wait is how long to wait before asking again; 0 if the request may go.
	Wait time.Duration
	// Hopeless says not to wait: nothing is let in at present.
	Hopeless bool
}

// Take lets one request go, or says what to do.
func (p *Pace) Take(now time.Time) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass(now)
	if p.rate == 0 {
		return Verdict{}
	}
	if p.ready >= 1 {
		p.ready--
		return Verdict{}
	}
	if p.starved(now) {
		return Verdict{Hopeless: true}
	}
	return Verdict{Wait: max(time.Millisecond, time.Duration((1-p.ready)/p.rate*float64(time.Second)))}
}

// Rate is how many requests a second are let go; 0 is without bound.
func (p *Pace) Rate(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass(now)
	return p.rate
}

// LetIn is told of a request that was not turned away.
func (p *Pace) LetIn(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass(now)
	p.admitted[0]++
	p.letIn = now
	if p.rate > 0 { // what was let in within a second is known to be possible
		p.rate = max(p.rate, float64(max(p.admitted[0], p.admitted[1])))
	}
}

// TurnedAway is told of one that was.
func (p *Pace) TurnedAway(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass(now)
	p.throttled = now
	if p.rate > 0 && now.Sub(p.cut) < cutEvery {
		return
	}
	seen := float64(max(p.admitted[0], p.admitted[1]))
	if p.letIn.IsZero() {
		p.letIn = now // it has not been starving yet
	}
	switch {
	case p.rate == 0:
		p.rate, p.ready = seen, few
	case p.starved(now):
		p.rate, p.ready = slowest, 0
	default:
		p.ready = 0
		p.rate = 0.95 * min(p.rate, max(seen, 0.8*p.rate))
	}
	p.rate, p.cut = max(slowest, p.rate), now
}

// pass lets the time pass: what may go grows with the rate, and the rate with the time
// that nothing was turned away, slowly at first.
func (p *Pace) pass(now time.Time) {
	if now.Sub(p.second) >= time.Second {
		p.admitted[1], p.admitted[0] = p.admitted[0], 0
		if now.Sub(p.second) >= 2*time.Second {
			p.admitted[1] = 0
		}
		p.second = now
	}
	passed := now.Sub(p.at).Seconds()
	p.at = now
	if p.rate == 0 || passed <= 0 {
		return
	}
	if now.Sub(p.throttled) >= quietAfter {
		p.rate, p.ready = 0, 0
		return
	}
	p.ready = min(max(few, p.rate*atOnce), p.ready+passed*p.rate)
	if now.Sub(p.cut) >= cutEvery && !p.starved(now) {
		p.rate += p.rate * 0.04 * min(passed, 1)
	}
}

func (p *Pace) starved(now time.Time) bool { return now.Sub(p.letIn) >= starvedAfter }
