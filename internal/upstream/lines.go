package upstream

import (
	"sync"
	"time"
)

// LineState is what is held of the connections in use.
type LineState string

// The states. A line begins healthy; a request that got no answer in its whole time,
// while nobody else got one either, makes it suspect; an answer makes it healthy again;
// and the next request that may replaces a suspect one by a new line. What breaks by
// itself, such as a connection that was reset, makes nothing suspect: such a connection
// is gone already, and a stream that was reset says that its connection is alive.
const (
	Healthy  LineState = "healthy"
	Suspect  LineState = "suspect"
	Replaced LineState = "replaced"
)

const (
	// ReplaceEvery is how often a line is replaced at most.
	ReplaceEvery = time.Second
	// maxReplaced is how many replaced lines there may be with requests under way. They
	// end by their deadlines, and until then a suspect line is kept.
	maxReplaced = 4
)

// Lines are the generations of connections to one API server: the one in use, and those
// that were replaced and still hold requests. A line of type T closes with close, which
// is called once nothing is under way on it, without any lock. It is safe for concurrent
// use.
type Lines[T any] struct {
	make  func() T
	close func(T)

	mu         sync.Mutex
	current    *Line[T]
	replaced   int // that still have requests under way
	replacedAt time.Time
	closing    bool // no connection is to be kept once nothing is under way
}

// Line is one generation.
type Line[T any] struct {
	Value T

	state    LineState
	underway int
	answered time.Time // the last answer
}

// NewLines returns lines of which the first is made at once.
func NewLines[T any](make func() T, close func(T)) *Lines[T] {
	return &Lines[T]{make: make, close: close, current: &Line[T]{Value: make(), state: Healthy}}
}

// Begin is called by a request before it goes out, and returns the line that it uses. It
// has to End.
func (l *Lines[T]) Begin(now time.Time) *Line[T] {
	l.mu.Lock()
	old := l.replace(now)
	line := l.current
	line.underway++
	l.mu.Unlock()
	if old != nil {
		l.close(old.Value)
	}
	return line
}

// replace puts a new line in the place of a suspect one, and returns the old one if
// nothing is under way on it.
func (l *Lines[T]) replace(now time.Time) (drained *Line[T]) {
	old := l.current
	if old.state != Suspect || now.Sub(l.replacedAt) < ReplaceEvery || l.replaced >= maxReplaced {
		return nil
	}
	l.current, l.replacedAt = &Line[T]{Value: l.make(), state: Healthy}, now
	old.state = Replaced
	if old.underway == 0 {
		return old
	}
	l.replaced++
	return nil
}

// End is called when nothing of a request is left on its line.
func (l *Lines[T]) End(line *Line[T]) {
	l.mu.Lock()
	line.underway--
	idle := line.underway == 0
	if idle && line.state == Replaced {
		l.replaced--
	}
	shut := idle && (line.state == Replaced || l.closing)
	l.mu.Unlock()
	if shut {
		l.close(line.Value)
	}
}

// Answered is told of every answer that came on a line.
func (l *Lines[T]) Answered(line *Line[T], now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line.answered = now
	if line.state == Suspect {
		line.state = Healthy
	}
}

// Silent is told of a request that began at a time, and got no answer although it had
// all the time that it may take.
func (l *Lines[T]) Silent(line *Line[T], began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line.state == Healthy && !began.Before(line.answered) {
		line.state = Suspect
	}
}

// Current is the value of the line in use.
func (l *Lines[T]) Current() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current.Value
}

// Close lets no connection outlast the requests that are under way. A request that comes
// later is served all the same, and its connection ends with it.
func (l *Lines[T]) Close() {
	l.mu.Lock()
	l.closing = true
	line := l.current
	idle := line.underway == 0
	l.mu.Unlock()
	if idle {
		l.close(line.Value)
	}
}

// LinesState is what Lines are at a moment.
type LinesState struct {
	Current  LineState
	Underway int // on the current line
	Replaced int // lines that were replaced and have requests under way
	Closing  bool
}

// State is what the lines are now.
func (l *Lines[T]) State() LinesState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LinesState{Current: l.current.state, Underway: l.current.underway, Replaced: l.replaced, Closing: l.closing}
}
