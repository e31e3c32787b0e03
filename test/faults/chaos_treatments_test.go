package faults

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// treatment is what an API server does to its clients.
type treatment struct {
	name string
	// start starts the API server, and what happens to it until ctx ends.
	start func(ctx context.Context, t *testing.T) *server
	// meanwhile, if any, is what the operator of the mount does.
	meanwhile func(ctx context.Context, t *testing.T, m mount, s *server)
	// works says that it is no reason for a login to fail.
	works bool
	// lets says that some logins are let in, and others turned away.
	lets bool
}

func treatments() []treatment {
	return []treatment{
		{name: "resets in the answer", start: always(truncate)},
		{name: "cuts the connection in the answer", start: onHTTP1(truncate)},
		{name: "sends a byte at a time", start: always(dribbling(50 * time.Millisecond))},
		{name: "closes its half of the connection", start: func(_ context.Context, t *testing.T) *server { return newHalfClosing(t) }},
		{name: "refuses connections", start: refusing},
		{name: "drops packets", start: func(_ context.Context, t *testing.T) *server { return newBlackhole(t) }},
		{name: "429, Retry-After: 1", start: always(throttle("1"))},
		{name: "429 without Retry-After", start: always(saysStatus(http.StatusTooManyRequests, "TooManyRequests", "slow down"))},
		{name: "503, Retry-After: 1", start: always(unavailable)},
		{name: "lets in 20 a second", start: func(_ context.Context, t *testing.T) *server { return newServer(t, lettingIn(20), false) }, lets: true},
		{name: "is there each other second", start: flapping, lets: true},
		{name: "says GOAWAY with each tenth answer", start: always(goingAway), works: true},
		{name: "has another certificate each second", start: rotating(false), works: true},
		{name: "has a certificate of another CA each second", start: rotating(true), works: true},
		{name: "takes another credential each second", start: always(vouches), meanwhile: replacing, works: true},
	}
}

func always(handler http.HandlerFunc) func(context.Context, *testing.T) *server {
	return func(_ context.Context, t *testing.T) *server { return newServer(t, handler, false) }
}

func onHTTP1(handler http.HandlerFunc) func(context.Context, *testing.T) *server {
	return func(_ context.Context, t *testing.T) *server { return newServer(t, handler, true) }
}

func refusing(_ context.Context, t *testing.T) *server {
	s := newServer(t, vouches, false)
	s.stop()
	return s
}

func unavailable(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "1")
	saysStatus(http.StatusServiceUnavailable, "ServiceUnavailable", "apiserver is shutting down")(w, r)
}

// lettingIn vouches for so many in each second, and turns the others away.
func lettingIn(limit int) http.HandlerFunc {
	var mu sync.Mutex
	var second int64
	var in int
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if now := time.Now().Unix(); now != second {
			second, in = now, 0
		}
		in++
		admitted := in <= limit
		mu.Unlock()
		if admitted {
			vouches(w, r)
			return
		}
		throttle("1")(w, r)
	}
}

// every does something each second until ctx ends.
func every(ctx context.Context, t *testing.T, do func(n int)) {
	t.Helper()
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	running.Go(func() {
		for n := 1; ; n++ {
			wait(ctx, time.Second)
			if ctx.Err() != nil {
				return
			}
			do(n)
		}
	})
}

func flapping(ctx context.Context, t *testing.T) *server {
	s := newServer(t, vouches, false)
	every(ctx, t, func(n int) {
		if n%2 == 1 {
			s.stop()
		} else {
			s.start(t, s.url[len("https://"):])
		}
	})
	return s
}

// goingAway ends connections as kube-apiserver does with --goaway-chance.
var answers atomic.Int64

func goingAway(w http.ResponseWriter, r *http.Request) {
	if answers.Add(1)%10 == 0 {
		w.Header().Set("Connection", "close") // with HTTP/2 a GOAWAY
	}
	vouches(w, r)
}

// rotating gives the server another certificate each second, of the same CA or of two in
// turn that the mount trusts. Connections come and go, for new ones have the new one.
func rotating(authorities bool) func(context.Context, *testing.T) *server {
	return func(ctx context.Context, t *testing.T) *server {
		s := newServer(t, goingAway, false)
		first, second := newAuthority(t), newAuthority(t)
		s.caPEM = first.pem
		both := []*authority{first, first}
		if authorities {
			s.caPEM += second.pem
			both[1] = second
		}
		s.certificate.Store(first.issue(t))
		every(ctx, t, func(n int) { s.certificate.Store(both[n%2].issue(t)) })
		return s
	}
}

// replacing writes the configuration with another credential each second, as an operator
// or a program does that renews it; the one before goes on to count.
func replacing(ctx context.Context, t *testing.T, m mount, s *server) {
	every(ctx, t, func(int) {
		token, err := kube.token(ctx, "reviewer")
		if err != nil {
			return // the end
		}
		if a, err := ask(m.addr, m.token, http.MethodPost, "auth/"+m.path+"/config", config(s.url, s.caPEM, fields{"token_reviewer_jwt": token})); err != nil || a.status >= http.StatusBadRequest {
			t.Errorf("write the configuration: %v, %v", a, err)
		}
	})
}

// newMountAt enables a method in a Vault of the test's own for a server that may be sick.
func newMountAt(t *testing.T, addr, token, method, path string, s *server, more ...fields) mount {
	t.Helper()
	m := mount{path: path, addr: addr, token: token}
	m.enableMethod(t, method)
	m.configure(t, s.url, s.caPEM, more...)
	return m
}

func named(method string, n int) string {
	if method == ours {
		return fmt.Sprintf("ours-%d", n)
	}
	return fmt.Sprintf("theirs-%d", n)
}
