package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type callerFunc func(ctx context.Context, n int64) error

func (f callerFunc) Call(ctx context.Context, n int64) error { return f(ctx, n) }

func repeat(clients int, f callerFunc) []Caller {
	callers := make([]Caller, clients)
	for i := range callers {
		callers[i] = f
	}
	return callers
}

func TestRunMakesEachCallOnce(t *testing.T) {
	var mu sync.Mutex
	seen := map[int64]int{}
	var done atomic.Int64
	result, err := Run(t.Context(), repeat(4, func(_ context.Context, n int64) error {
		mu.Lock()
		defer mu.Unlock()
		seen[n]++
		return nil
	}), Plan{Calls: 100, Done: &done})
	if err != nil {
		t.Fatal(err)
	}
	if result.Calls != 100 || done.Load() != 100 || len(seen) != 100 {
		t.Errorf("%d calls, %d counted, %d numbers", result.Calls, done.Load(), len(seen))
	}
	for n, times := range seen {
		if n < 0 || n >= 100 || times != 1 {
			t.Errorf("call %d was made %d times", n, times)
		}
	}
	if result.Elapsed <= 0 || result.P50 > result.P99 {
		t.Errorf("got %+v", result)
	}
}

func TestRunEndsAfterItsDuration(t *testing.T) {
	result, err := Run(t.Context(), repeat(2, func(context.Context, int64) error {
		time.Sleep(time.Millisecond)
		return nil
	}), Plan{Duration: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if result.Calls == 0 || result.Elapsed < 20*time.Millisecond || result.P50 < time.Millisecond {
		t.Errorf("got %+v", result)
	}
}

// TestRunKeepsToItsRate has callers that could make many more calls.
func TestRunKeepsToItsRate(t *testing.T) {
	result, err := Run(t.Context(), repeat(4, func(context.Context, int64) error { return nil }),
		Plan{Duration: 100 * time.Millisecond, Rate: 200})
	// Fewer on a busy machine, but never more.
	if err != nil || result.Calls < 1 || result.Calls > 20 {
		t.Errorf("got %+v, %v", result, err)
	}
	result, err = Run(t.Context(), repeat(4, func(context.Context, int64) error { return nil }), Plan{Calls: 11, Rate: 200})
	if err != nil || result.Calls != 11 || result.Elapsed < 50*time.Millisecond {
		t.Errorf("got %+v, %v", result, err)
	}
	if result.P50 > 10*time.Millisecond { // a turn comes each 20 ms for each caller
		t.Errorf("waiting for a turn counts as part of a call: %+v", result)
	}
}

func TestRunFails(t *testing.T) {
	refused := errors.New("refused")
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(refused)
	for _, tt := range []struct {
		name string
		ctx  context.Context
		plan Plan
		call callerFunc
		want error
	}{
		{"at the first failed call", t.Context(), Plan{Calls: 1000}, func(_ context.Context, n int64) error {
			if n == 10 {
				return refused
			}
			return nil
		}, refused},
		{"when it is canceled", gone, Plan{Calls: 10}, func(context.Context, int64) error { return nil }, refused},
		{"without an end", t.Context(), Plan{}, func(context.Context, int64) error { return nil }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Run(tt.ctx, repeat(3, tt.call), tt.plan); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := Run(t.Context(), nil, Plan{Calls: 1}); err == nil {
		t.Error("a run of nobody succeeds")
	}
}

func TestCallsHaveADeadline(t *testing.T) {
	_, err := Run(t.Context(), repeat(1, func(ctx context.Context, _ int64) error {
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("no deadline")
		}
		return nil
	}), Plan{Calls: 1})
	if err != nil {
		t.Error(err)
	}
}

func TestLogins(t *testing.T) {
	const jwt = "a.secret.token"
	for _, tt := range []struct {
		name, answer string
		status       int
		wantErr      string
	}{
		{name: "granted", status: 200, answer: `{"auth":{"client_token":"hvs.x"}}`},
		{name: "denied", status: 403, answer: `{"errors":["permission denied"]}`, wantErr: "permission denied"},
		{name: "granted without a token", status: 200, answer: `{"auth":null}`, wantErr: "client_token"},
		{name: "another success", status: 204, wantErr: "204"},
		{name: "a page", status: 502, answer: "<html>" + jwt, wantErr: "no JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var bodies sync.Map
			var connections atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var body strings.Builder
				_ = r.Write(&body)
				_, sent, _ := strings.Cut(body.String(), "\r\n\r\n")
				bodies.Store(r.Method+r.URL.Path+sent, true)
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.answer)
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			encoded, err := LoginBodies([]string{"one", "two", "three"}, []string{jwt})
			if err != nil {
				t.Fatal(err)
			}
			clients := Logins(2, server.URL, "bench", encoded)
			defer Close(clients)
			_, err = Run(t.Context(), clients, Plan{Calls: 30})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || strings.Contains(err.Error(), jwt) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, role := range []string{"one", "two", "three"} {
				if _, ok := bodies.Load(`POST/v1/auth/bench/login{"jwt":"` + jwt + `","role":"` + role + `"}`); !ok {
					t.Errorf("no login with the role %s", role)
				}
			}
			if n := connections.Load(); n > 2 {
				t.Errorf("two clients made %d connections", n)
			}
		})
	}
}
