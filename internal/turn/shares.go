package turn

import (
	"context"
	"sync"
)

// Shares are turns at something of which there is little, such as processor time. So
// many have a turn at a time; of those who wait, owners come one after the other, however
// many of them wait for one owner. It is safe for concurrent use.
type Shares struct {
	mu      sync.Mutex
	free    int
	waiting map[any][]*share // by owner, in the order in which they came
	owners  []any            // who has somebody waiting, the next one first
}

// share is one who waits: granted is closed when he has his turn.
type share struct{ granted chan struct{} }

// NewShares makes shares of which so many have a turn at a time.
func NewShares(atOnce int) *Shares {
	return &Shares{free: atOnce, waiting: map[any][]*share{}}
}

// Take waits for a turn of the owner, and returns what gives it back. The error is that of
// the context. Nobody may take a turn while he has one, nor wait for anything else.
func (s *Shares) Take(ctx context.Context, owner any) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return s.release, nil
	}
	mine := &share{granted: make(chan struct{})}
	if len(s.waiting[owner]) == 0 {
		s.owners = append(s.owners, owner)
	}
	s.waiting[owner] = append(s.waiting[owner], mine)
	s.mu.Unlock()
	select {
	case <-mine.granted:
		return s.release, nil
	case <-ctx.Done():
		s.leave(owner, mine)
		return nil, ctx.Err()
	}
}

// leave is called by one who waits no longer.
func (s *Shares) leave(owner any, mine *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-mine.granted:
		s.next()
		return
	default:
	}
	queue := s.waiting[owner]
	for i, other := range queue {
		if other == mine {
			s.keep(owner, append(queue[:i:i], queue[i+1:]...))
			return
		}
	}
}

// keep sets who waits for an owner.
func (s *Shares) keep(owner any, queue []*share) {
	if len(queue) > 0 {
		s.waiting[owner] = queue
		return
	}
	delete(s.waiting, owner)
	for i, other := range s.owners {
		if other == owner {
			s.owners = append(s.owners[:i:i], s.owners[i+1:]...)
			return
		}
	}
}

func (s *Shares) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next()
}

// next gives a turn that has become free to the owner who waited longest for one.
func (s *Shares) next() {
	if len(s.owners) == 0 {
		s.free++
		return
	}
	owner := s.owners[0]
	queue := s.waiting[owner]
	s.keep(owner, queue[1:])
	if len(queue) > 1 { // its next one comes after the others
		s.owners = append(s.owners[1:], owner)
	}
	close(queue[0].granted)
}

// Waiting is how many wait.
func (s *Shares) Waiting() (count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, queue := range s.waiting {
		count += len(queue)
	}
	return count
}
