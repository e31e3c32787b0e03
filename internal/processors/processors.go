// Package processors decides how many processors the process is busy on at a time, and who
// has a turn at what takes long.
package processors

import (
	"context"
	"os"
	"runtime"
	"sync"
	"time"
)

// sharePart is the part of the machine that the plugin may be busy on at a time: half.
// Of the work of a login that Vault and the plugin share at most two parts in five are the
// plugin's, so that half never keeps Vault waiting, however many processors there are. A
// plugin that spreads its part over all of them spends more time on waking them than on
// logins.
const sharePart = 2

// lookEvery is how often it is looked how many processors there are: the limit of a
// container can change while it runs.
const lookEvery = time.Minute

// longStays is how long a processor for what takes long stays once nothing does: the
// process stands still for a moment each time that their number changes.
const longStays = time.Second

// share is what the process is busy on. Where that is one processor, there are two while
// something takes long: a login that has microseconds to do would otherwise wait a hundredth
// of a second for each of its steps, until the runtime interrupts the other.
type share struct {
	mu    sync.Mutex
	usual int // without anything that takes long; 0 if others decide
	long  int // how many have a turn at what takes long
	rest  *time.Timer
}

var process share

// Follow keeps to the share of the processors until ctx ends, unless the operator says by the
// environment how many they are.
func Follow(ctx context.Context) {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	process.limit(runtime.SetDefaultGOMAXPROCS)
	go every(ctx, lookEvery, func() { process.limit(runtime.SetDefaultGOMAXPROCS) })
}

// limit takes a share of all processors that toAll sets. Once a number was set the
// runtime follows the limits of a container no longer by itself.
func (s *share) limit(toAll func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	toAll()
	s.usual = max(1, runtime.GOMAXPROCS(0)/sharePart)
	s.set()
}

// set is called with the mutex held.
func (s *share) set() {
	count := s.usual
	if s.long > 0 || s.rest != nil {
		count = max(count, 2)
	}
	if count != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(count)
	}
}

// begin and end are told of each that has a turn at what takes long.
func (s *share) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.long++
	if s.usual == 0 {
		return
	}
	if s.rest != nil {
		s.rest.Stop()
		s.rest = nil
	}
	s.set()
}

func (s *share) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.long--; s.long == 0 && s.usual > 0 {
		s.rest = time.AfterFunc(longStays, s.settle)
	}
}

// settle goes back to the usual number, unless something takes long again.
func (s *share) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.long == 0 && s.usual > 0 {
		s.rest = nil
		s.set()
	}
}

func every(ctx context.Context, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}
