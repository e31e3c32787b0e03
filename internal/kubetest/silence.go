package kubetest

import (
	"net"
	"sync"
	"sync/atomic"
)

// Silence makes every connection that is open now swallow what it gets and say
// nothing any more, as when a firewall or a load balancer forgot it. Neither side
// is told. New connections work.
func (s *Server) Silence() { s.listener.silence() }

// listener remembers its connections so that they can be silenced.
type listener struct {
	net.Listener
	mu    sync.Mutex
	conns []*conn
}

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: accepted}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	return c, nil
}

func (l *listener) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.silent.Store(true)
	}
	l.conns = nil
}

type conn struct {
	net.Conn
	silent atomic.Bool
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.silent.Load() {
			return n, err
		}
	}
}

func (c *conn) Write(b []byte) (int, error) {
	if c.silent.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
