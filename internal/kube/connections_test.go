package kube_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/upstream"
)

// ticks is a clock that stands still until it is set.
type ticks struct{ atomic.Int64 }

func (c *ticks) now() time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(c.Load())) }

// crowd has 50 clients ask, each so many times, and notes the most connections that were
// open at a time.
func crowd(ctx context.Context, c *kube.Client, meter *kube.Meter, times int) (most int64) {
	var all sync.WaitGroup
	var seen atomic.Int64
	for range 50 {
		all.Go(func() {
			for range times {
				_, _ = c.ReviewToken(kube.Insist(ctx), loginToken, nil)
				seen.Store(max(seen.Load(), meter.Connections.Load()))
			}
		})
	}
	all.Wait()
	return seen.Load()
}

// wantNoConnection waits for those that are being closed.
func wantNoConnection(t *testing.T, meter *kube.Meter) {
	t.Helper()
	for deadline := time.Now().Add(long / 3); meter.Connections.Load() != 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", meter.Connections.Load())
		}
	}
}

// A stream that is reset in the middle of an answer is no reason for a new connection.
// The first request is alone: how many connections are made before one is there depends on
// who comes when.
func TestResetStreamsMakeNoConnections(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{"reset": kubetest.ResetStream(), "reset in the answer": kubetest.Truncate()} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.Start(t)
			c, meter, _ := metered(t, s)
			if _, err := c.ReviewToken(t.Context(), s.Reviewer, nil); err != nil {
				t.Fatal(err)
			}
			s.Fail(fault)
			crowd(t.Context(), c, meter, 5)
			if made := meter.Connected.Load(); made != 1 {
				t.Errorf("%d connections were made for %d requests, want the one that lives", made, meter.Sent.Load())
			}
		})
	}
}

// A connection that falls silent, or is cut, with requests of many logins under way costs
// none of them: each is asked again on another. It says nothing of the API server, which
// others reach.
func TestTheEndOfAConnectionCostsNoLogin(t *testing.T) {
	for name, end := range map[string]func(*kubetest.Server){
		"silent": (*kubetest.Server).Silence,
		"cut":    (*kubetest.Server).CloseConnections,
	} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.Start(t)
			c, _, _ := metered(t, s, timeout(2*time.Second))
			if _, err := c.ReviewToken(t.Context(), s.Reviewer, nil); err != nil {
				t.Fatal(err)
			}
			entered, release := make(chan struct{}, 20), make(chan struct{})
			s.FailTimes(20, func(http.ResponseWriter, *http.Request) {
				entered <- struct{}{}
				<-release
			})
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := c.ReviewToken(t.Context(), s.Reviewer, nil); err != nil {
						t.Errorf("a login: %v", err)
					}
				})
			}
			for range 20 {
				<-entered
			}
			end(s)
			all.Wait()
			close(release)
			if state := c.State(); state.Circuit.Down {
				t.Errorf("the API server counts as down: %+v", state)
			}
		})
	}
}

// An API server that cuts the connection each time is not connected to as often as it is
// asked: as many as ask at a time, while nobody knows that connections break, then the eight
// that may break at once, and two a second.
func TestBrokenConnectionsAreBounded(t *testing.T) {
	for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := kubetest.StartWith(t, o)
			c, meter, _ := metered(t, s, timeout(3*time.Second))
			s.Fail(kubetest.CloseConnection())
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					for ctx.Err() == nil {
						_, _ = c.ReviewToken(ctx, loginToken, nil)
					}
				})
			}
			all.Wait()
			seconds := int64(time.Since(began)/time.Second) + 1
			if made := meter.Connected.Load(); made < 1 || made > 50+8+2*seconds {
				t.Errorf("%d connections were made in %d seconds", made, seconds)
			} else {
				t.Logf("%d connections in %d seconds", made, seconds)
			}
		})
	}
}

// However many requests hang, a client has no more connections than it may.
func TestConnectionsAreBounded(t *testing.T) {
	s := kubetest.StartWith(t, kubetest.Options{HTTP1: true}) // one request a connection
	c, meter, _ := metered(t, s, timeout(soon), func(o *kube.Options) { o.MaxConnections = 6 })
	s.Fail(kubetest.Hang())
	if most := crowd(t.Context(), c, meter, 3); most > 6 {
		t.Errorf("%d connections were open, of 6", most)
	}
	s.Heal()
	_, err := c.ReviewToken(kube.Insist(t.Context()), s.Reviewer, nil)
	for range 100 { // a busy machine may need longer than the client waits
		if err == nil {
			break
		}
		_, err = c.ReviewToken(kube.Insist(t.Context()), s.Reviewer, nil)
	}
	if err != nil {
		t.Errorf("after that: %v", err)
	}
}

// What a client was closed with under way ends well, and nothing of it stays.
func TestClosedClientKeepsNoConnection(t *testing.T) {
	for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
		t.Run(protocol, func(t *testing.T) {
			s := kubetest.StartWith(t, o)
			for range 20 {
				c, meter, _ := metered(t, s)
				entered, release := make(chan struct{}, 8), make(chan struct{})
				s.Fail(func(w http.ResponseWriter, r *http.Request) {
					entered <- struct{}{}
					<-release
					kubetest.Status(http.StatusForbidden)(w, r)
				})
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() { wantFailure(t, calls["ReviewToken"](t.Context(), c), kube.Forbidden) })
				}
				for range 8 {
					<-entered
				}
				c.Close()
				close(release)
				all.Wait()
				s.Heal()
				wantNoConnection(t, meter)
			}
		})
	}
}

// An API server that is down is asked by few, and by all once it has returned. An
// operator who wants to know asks whenever he wants.
func TestAnAPIServerThatIsDownIsHardlyAsked(t *testing.T) {
	s := kubetest.Start(t)
	var now ticks
	c, meter, _ := metered(t, s, func(o *kube.Options) { o.Now = now.now })
	s.Fail(kubetest.ResetStream())
	review := func() error { _, err := c.ReviewToken(t.Context(), s.Reviewer, nil); return err }
	var last error
	for range 100 {
		last = review()
	}
	wantFailure(t, last, kube.Connection)
	if got := s.Count(kubetest.TokenReviews); got != 5 || !errors.Is(last, kube.ErrNotAsked) || !c.State().Circuit.Down {
		t.Errorf("%d requests for 100 logins, the last one says %v, state %+v", got, last, c.State())
	}
	wantFailure(t, calls["Namespace"](kube.Insist(t.Context()), c), kube.Connection)
	if got := meter.Sent.Load(); got != 7 { // those and two attempts of the operator's
		t.Errorf("%d requests were sent, want 7", got)
	}
	now.Add(int64(upstream.ProbeEvery))
	wantFailure(t, review(), kube.Connection) // the probe, which is one attempt
	if got := meter.Sent.Load(); got != 8 {
		t.Errorf("%d requests were sent, want 8", got)
	}
	s.Heal()
	now.Add(int64(upstream.ProbeEvery))
	for range 10 {
		if err := review(); err != nil {
			t.Errorf("after its return: %v", err)
		}
	}
}

// A caller who has little time says nothing about the API server.
func TestImpatientCallersDoNotMakeItDown(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s)
	s.Fail(kubetest.Hang())
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), soon/10)
		_, err := c.ReviewToken(ctx, loginToken, nil)
		cancel()
		wantFailure(t, err, kube.Timeout)
	}
	if state := c.State(); state.Circuit.Down || state.Lines.Current != "healthy" {
		t.Errorf("the state is %+v", state)
	}
}

// Clients far beyond what an API server lets in do not send it what it turns away. The
// clock is the real one, and the server lets in 20 in each second.
func TestThrottlingIsFollowed(t *testing.T) {
	s := kubetest.Start(t)
	c, meter, _ := metered(t, s, timeout(time.Second))
	var mu sync.Mutex
	var second int64
	var in, let int
	s.Fail(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if now := time.Now().Unix(); now != second {
			second, in = now, 0
		}
		in++
		admitted := in <= 20
		if admitted {
			let++
		}
		mu.Unlock()
		if !admitted {
			kubetest.RetryAfter(http.StatusTooManyRequests, 1)(w, r)
			return
		}
		kubetest.Status(http.StatusForbidden)(w, r)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.ReviewToken(ctx, loginToken, nil); errors.Is(err, kube.ErrNotAsked) {
					<-time.After(100 * time.Millisecond) // as a client that is told so
				}
			}
		})
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	if sent := meter.Sent.Load(); let < 40 || sent > int64(let)+100+int64(let)/2 {
		t.Errorf("%d requests were sent, and %d let in", sent, let)
	}
}

// An answer's headers are bounded as its body is.
func TestHeadersAreBounded(t *testing.T) {
	for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
		for name, row := range map[string]struct {
			bytes int
			want  kube.Failure
		}{"as many as any front sends": {32 << 10, kube.Forbidden}, "many": {1 << 20, kube.Connection}} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				s := kubetest.StartWith(t, o)
				s.Fail(func(w http.ResponseWriter, r *http.Request) {
					for i := range row.bytes >> 10 {
						w.Header().Set("X-Padding-"+strings.Repeat("y", i%7)+string(rune('a'+i%26))+strings.Repeat("z", i/26), strings.Repeat("x", 1<<10))
					}
					kubetest.Status(http.StatusForbidden)(w, r)
				})
				_, err := newClient(t, s).ReviewToken(t.Context(), loginToken, nil)
				wantFailure(t, err, row.want)
			})
		}
	}
}

// A connection that is being made ends with the one who wanted it.
func TestConnectingEndsWithTheRequest(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	s := kubetest.Start(t)
	c, meter, _ := metered(t, s, func(o *kube.Options) { o.Host.Host = silent.Addr().String() })
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _, _ = c.ReviewToken(ctx, loginToken, nil) })
	}
	all.Wait()
	wantNoConnection(t, meter)
}

// Who is not let through is told how the requests of others failed, and nothing that was
// sent with them.
func TestNothingOfAnotherRequestIsTold(t *testing.T) {
	const first, second = "eyJfirst.of-one-login.signature-of-the-first", "eyJsecond.of-another.signature-of-the-second"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				if request, err := http.ReadRequest(bufio.NewReader(connection)); err == nil {
					_, _ = io.WriteString(connection, request.Header.Get("Authorization")+"\r\n\r\n")
				}
			}()
		}
	}()
	c, err := kube.New(kube.Options{
		Host: &url.URL{Scheme: "http", Host: listener.Addr().String()}, Credential: func() string { return "" }, RequestTimeout: long,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for range 5 {
		_, _ = c.ReviewToken(t.Context(), first, nil)
	}
	_, err = c.ReviewToken(t.Context(), second, nil)
	if !errors.Is(err, kube.ErrNotAsked) {
		t.Fatalf("the error is %v", err)
	}
	for _, part := range []string{"of-one-login", "signature-of-the-first", "signature-of-the-second"} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("%q is in %q", part, err)
		}
	}
}
