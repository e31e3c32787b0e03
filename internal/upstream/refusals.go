package upstream

import (
	"sync"
	"time"
)

const (
	// refusedAtOnce is how many may be told at a time that the API server was not asked.
	refusedAtOnce = 10
	// refuseEvery is how often one more may.
	refuseEvery = time.Second
	// HoldAtMost bounds how long a refusal is held back. Who waits is let in when the API
	// server returns, so it costs a client no time. Each that comes back costs Vault and the
	// plugin a millisecond or two, so longer is better; it is shorter than what clients wait
	// for an answer, of which Spring's 15 seconds are the shortest by default.
	HoldAtMost = 14 * time.Second
	// maxHeld is how many are held back at a time. Others are told at once: what waits has
	// a goroutine here and one in Vault, and strangers decide how many come.
	maxHeld = 1024
)

// Refusals slows down those who are refused without a request. A refusal is cheap, and
// who gets one at once comes back as soon: a thousand clients that try each second would
// take from others, by nothing but being refused, the time that the API server no longer
// costs. So a few are told at once, and the others a little later. The zero value has
// told nobody. It is safe for concurrent use.
type Refusals struct {
	mu   sync.Mutex
	next time.Time // when the next one may be told
	held int
}

// Hold is how long to hold back a refusal; 0 for not at all. Who holds one back calls
// Told at its end.
func (r *Refusals) Hold(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held >= maxHeld {
		return 0
	}
	if earliest := now.Add(-(refusedAtOnce - 1) * refuseEvery); r.next.Before(earliest) {
		r.next = earliest
	}
	hold := max(0, r.next.Sub(now))
	if hold >= HoldAtMost {
		hold = HoldAtMost
	} else {
		r.next = r.next.Add(refuseEvery)
	}
	if hold > 0 {
		r.held++
	}
	return hold
}

// Told ends what Hold began: the refusal was told, or turned out to be none.
func (r *Refusals) Told() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held--
}

// Held is how many are held back now.
func (r *Refusals) Held() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}
