package live

import "sync"

// Shared are the sessions of a process. Mounts that follow the same cluster with the same
// credential share one.
type Shared struct {
	mu       sync.Mutex
	sessions map[string]*sharing
}

type sharing struct {
	*Session
	members int
}

// Join returns the session by a name, which has to stand for everything that options
// depend on, and a function to leave it by, which the last one ends it with. The options
// are those of the first who joins. Nothing is followed before a login wants it.
func (p *Shared) Join(name string, o Options) (s *Session, leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	joined := p.sessions[name]
	if joined == nil {
		if p.sessions == nil {
			p.sessions = map[string]*sharing{}
		}
		joined = &sharing{Session: newSession(o)}
		p.sessions[name] = joined
	}
	joined.members++
	return joined.Session, sync.OnceFunc(func() { p.leave(name, joined) })
}

func (p *Shared) leave(name string, s *sharing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.members--; s.members == 0 {
		s.end()
		delete(p.sessions, name)
	}
}

// Len is how many sessions there are.
func (p *Shared) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}
