package kube

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// gatherMost is how many bytes may wait to be sent on a connection; who has more waits.
const gatherMost = 64 << 10

// lastWords is how long the end of a connection waits for what is still to be sent.
const lastWords = 100 * time.Millisecond

// gathered is a connection on which what is written at about the same time is sent together.
// net/http sends a request by two writes, its headers and its body; each of them wakes the API
// server up, which begins with the headers and then waits for the body. And what other logins
// write meanwhile goes along. Nothing waits for more to come: what is there is sent as soon as
// those that can run have run.
type gathered struct {
	net.Conn

	mu      sync.Mutex
	sent    sync.Cond // after each sending
	waiting []byte    // to be sent
	spare   []byte    // for the next
	sending bool
	ending  bool  // nothing more is taken
	err     error // why nothing more can be sent
}

func gather(c net.Conn) *gathered {
	g := &gathered{Conn: c}
	g.sent.L = &g.mu
	return g
}

// Write has p sent soon. An error is that of something that was written before.
func (g *gathered) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.err == nil && !g.ending && len(g.waiting) >= gatherMost {
		g.sent.Wait()
	}
	if g.err != nil {
		return 0, g.err
	}
	if g.ending {
		return 0, net.ErrClosed
	}
	g.waiting = append(g.waiting, p...)
	if !g.sending {
		g.sending = true
		go g.send()
	}
	return len(p), nil
}

// send sends what waits, until nothing does.
func (g *gathered) send() {
	runtime.Gosched() // others may be about to write
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.waiting) > 0 && g.err == nil {
		now := g.waiting
		g.waiting, g.spare = g.spare[:0], nil
		g.mu.Unlock()
		_, err := g.Conn.Write(now)
		if err != nil {
			_ = g.Conn.Close() // who waits for an answer learns of it by that
		}
		g.mu.Lock()
		g.err, g.spare = err, now
		g.sent.Broadcast()
	}
	g.sending = false
	g.sent.Broadcast()
}

// Read fails as the sending did, where that is why.
func (g *gathered) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.err != nil {
			err = g.err
		}
	}
	return n, err
}

// Close ends the connection, once what was written is sent. What comes after is refused at
// once: a connection that is about to close is not one to begin a request on.
func (g *gathered) Close() error {
	g.mu.Lock()
	g.ending = true
	if g.sending {
		_ = g.SetWriteDeadline(time.Now().Add(lastWords))
	}
	for g.sending {
		g.sent.Wait()
	}
	g.mu.Unlock()
	return g.Conn.Close()
}
