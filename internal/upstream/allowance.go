package upstream

import (
	"sync"
	"time"
)

// How many connections may break before new ones are made more slowly, and how often
// one is made then.
const (
	breaksAtOnce = 8
	breakEvery   = 500 * time.Millisecond
)

// Allowance bounds the connections that come to nothing. One that breaks with requests
// under way, or cannot be made, costs one; with none left a new connection has to wait
// until one has come back. An API server whose connections last costs nothing, however
// many there are. The zero value is full. It is safe for concurrent use.
type Allowance struct {
	mu    sync.Mutex
	spent float64
	at    time.Time // of spent
	// unproven are the connections of which nothing is known yet. Where some broke lately
	// these may as well, so they count as if they had.
	unproven int
}

// Begin lets a connection be made, or tells how long to wait before asking again. Of one
// that may be made Proved or Ended has to tell.
func (a *Allowance) Begin(now time.Time) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recover(now)
	if a.spent > 0 {
		if over := a.spent + float64(a.unproven) - (breaksAtOnce - 1); over > 0 {
			return max(time.Millisecond, time.Duration(min(over, 1)*float64(breakEvery)))
		}
	}
	a.unproven++
	return 0
}

// BeginAnyhow is Begin for a connection that is made whatever became of others.
func (a *Allowance) BeginAnyhow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unproven++
}

// Proved is told of the first answer that a connection carried.
func (a *Allowance) Proved() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unproven--
}

// Ended is told of a connection's end: whether it had been proved, and whether it broke,
// which is to say that it came to nothing or took requests with it.
func (a *Allowance) Ended(now time.Time, proved, broke bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !proved {
		a.unproven--
	}
	if broke {
		a.recover(now)
		a.spent = min(a.spent+1, breaksAtOnce)
	}
}

func (a *Allowance) recover(now time.Time) {
	if passed := now.Sub(a.at); passed > 0 {
		a.spent = max(0, a.spent-float64(passed)/float64(breakEvery))
		a.at = now
	}
}
