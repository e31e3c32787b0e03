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
}

// Wait is how long a new connection has to wait; 0 if it need not.
func (a *Allowance) Wait(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recover(now)
	if over := a.spent - (breaksAtOnce - 1); over > 0 {
		return time.Duration(over * float64(breakEvery))
	}
	return 0
}

// Broke is told of a connection that came to nothing.
func (a *Allowance) Broke(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recover(now)
	a.spent = min(a.spent+1, breaksAtOnce)
}

func (a *Allowance) recover(now time.Time) {
	if passed := now.Sub(a.at); passed > 0 {
		a.spent = max(0, a.spent-float64(passed)/float64(breakEvery))
		a.at = now
	}
}
