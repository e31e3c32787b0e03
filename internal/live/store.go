package live

import (
	"encoding/hex"
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
)

// uid is the id of an object, as the 16 bytes that it writes down.
type uid [16]byte

// parseUID reads the one form in which Kubernetes writes uids, so that no two texts are
// the same uid.
func parseUID(text string) (id uid, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return id, false
	}
	digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	for _, c := range []byte(digits) {
		if c >= 'A' && c <= 'F' {
			return id, false
		}
	}
	_, err := hex.Decode(id[:], []byte(digits))
	return id, err == nil
}

const (
	// rememberGone is for how long it is known of an object that it was deleted. The
	// API server goes on to accept tokens for the 10 seconds that it remembers them.
	rememberGone = time.Minute
	// maxGone bounds how many deletions are remembered. One that is forgotten is a
	// doubt, and the API server is asked.
	maxGone = 50_000
)

// store is what is known of the objects of one kind: of each that exists its uid, and
// whether it is being deleted. It takes about 40 bytes an object.
type store struct {
	mu      sync.RWMutex
	present map[uid]bool // whether it is being deleted
	gone    map[uid]clock.Moment
	order   []uid // of gone, the oldest first
	// proven is when the API server was asked for what showed that all that it knew
	// then is here. sound is whether there is such a time, and the API server's clock
	// was near this machine's.
	proven clock.Moment
	sound  bool
}

// what is known of an object.
type state int

const (
	missing state = iota // never heard of; it may be new, or a deletion that was forgotten
	present
	deleting
	gone
)

// look tells what is known of an object, and of when that is at least: what the API server
// knew by then was here. ok is false if nobody can tell. Both are of one moment, so that
// what is old cannot pass for what came between two looks.
func (s *store) look(text string) (is state, asOf clock.Moment, ok bool) {
	id, named := parseUID(text)
	s.mu.RLock()
	defer s.mu.RUnlock()
	asOf, ok = s.proven, s.sound
	isDeleting, exists := s.present[id]
	_, buried := s.gone[id]
	switch {
	case !named:
		is = missing
	case buried:
		is = gone
	case !exists:
		is = missing
	case isDeleting:
		is = deleting
	default:
		is = present
	}
	return is, asOf, ok
}

// asOf is when all that the API server knew was here; false if nobody can tell.
func (s *store) asOf() (clock.Moment, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.proven, s.sound
}

// prove notes that all is here that the API server knew at a time.
func (s *store) prove(at clock.Moment, sound bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proven, s.sound = at, sound
}

// put notes an object that exists.
func (s *store) put(text string, isDeleting bool) {
	id, ok := parseUID(text)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present[id] = isDeleting
}

// bury notes that an object was deleted.
func (s *store) bury(text string, now clock.Moment) {
	id, ok := parseUID(text)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.present, id)
	s.remember(id, now)
}

// replace takes over a whole list, as of a time. What is not in it was deleted.
func (s *store) replace(with map[uid]bool, at, now clock.Moment, sound bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.present {
		if _, ok := with[id]; !ok {
			s.remember(id, now)
		}
	}
	for id := range with {
		delete(s.gone, id) // the cluster was restored from a backup
	}
	s.present, s.proven, s.sound = with, at, sound
}

// remember notes a deletion, and forgets those from long ago. s.mu is held.
func (s *store) remember(id uid, now clock.Moment) {
	for len(s.order) > 0 && (len(s.gone) >= maxGone || now.Running-s.gone[s.order[0]].Running > rememberGone) {
		delete(s.gone, s.order[0])
		s.order = s.order[1:]
	}
	if _, ok := s.gone[id]; !ok {
		s.order = append(s.order, id)
	}
	s.gone[id] = now
}

// size is how many objects are known.
func (s *store) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.present)
}

func newStore() *store {
	return &store{present: map[uid]bool{}, gone: map[uid]clock.Moment{}}
}
