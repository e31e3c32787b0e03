package kube_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestDeadlineIsRespected(t *testing.T) {
	s := kubetest.Start(t)
	s.Fail(kubetest.Hang())
	for name, ask := range calls {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			wantFailure(t, ask(t.Context(), newClient(t, s, timeout(soon))), kube.Timeout)
			if took := time.Since(start); took > 100*soon {
				t.Errorf("it took %s, the deadline was %s", took, soon)
			}
		})
		t.Run(name+" of the caller", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*soon)
			defer cancel()
			wantFailure(t, ask(ctx, newClient(t, s)), kube.Timeout)
		})
		t.Run(name+" when the caller goes away", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(soon/10, cancel)
			wantFailure(t, ask(ctx, newClient(t, s)), kube.Canceled)
		})
		t.Run(name+" when the caller is gone already", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			wantFailure(t, ask(ctx, newClient(t, s)), kube.Canceled)
		})
	}
}

// A server that asks for patience and recovers within the deadline is waited for.
func TestRetryAfterIsHonoured(t *testing.T) {
	for name, code := range map[string]int{"throttled": http.StatusTooManyRequests, "shutting down": http.StatusServiceUnavailable} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.Start(t)
			s.FailTimes(1, kubetest.RetryAfter(code, 0))
			status, err := newClient(t, s).ReviewToken(t.Context(), s.Reviewer, nil)
			if err != nil || !status.Authenticated {
				t.Errorf("the review says %+v, error %v", status, err)
			}
			if got := s.Count(kubetest.TokenReviews); got != 2 {
				t.Errorf("%d requests, want 2", got)
			}
		})
	}
}

// Patience that one attempt does not have, two may.
func TestRetryAfterBeyondAnAttemptIsHonoured(t *testing.T) {
	s := kubetest.Start(t)
	s.FailTimes(1, kubetest.RetryAfter(http.StatusTooManyRequests, 1))
	c := newClient(t, s, func(o *kube.Options) { o.RequestTimeout = 900 * time.Millisecond })
	status, err := c.ReviewToken(t.Context(), s.Reviewer, nil)
	if err != nil || !status.Authenticated {
		t.Errorf("the review says %+v, error %v", status, err)
	}
	if got := s.Count(kubetest.TokenReviews); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
}

// There is no point in waiting for what comes after the deadline.
func TestRetryAfterBeyondTheDeadlineFailsAtOnce(t *testing.T) {
	s := kubetest.Start(t)
	s.Fail(kubetest.RetryAfter(http.StatusTooManyRequests, 3600))
	start := time.Now()
	_, err := newClient(t, s).ReviewToken(t.Context(), loginToken, nil)
	wantFailure(t, err, kube.Throttled)
	if took := time.Since(start); took > long/3 {
		t.Errorf("it took %s", took)
	}
	if got := s.Count(kubetest.TokenReviews); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

// client-go's default would let the first ten through and then five a second: 60
// requests would take ten seconds, and more than the deadline of this test.
func TestNoClientSideRateLimit(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			if status, err := c.ReviewToken(ctx, s.Reviewer, nil); err != nil || !status.Authenticated {
				t.Errorf("the review says %+v, error %v", status, err)
			}
		})
	}
	all.Wait()
}

// A connection that broke while it was idle, or in use, costs a login nothing: the
// client asks again on a fresh one.
func TestClientRecovers(t *testing.T) {
	for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
		t.Run(protocol, func(t *testing.T) {
			s := kubetest.StartWith(t, o)
			c := newClient(t, s)
			for name, disturb := range map[string]func(){
				"nothing":             func() {},
				"all connections cut": s.CloseConnections,
				"cut in use":          func() { s.FailTimes(1, kubetest.CloseConnection()) },
				"stream reset":        func() { s.FailTimes(1, kubetest.ResetStream()) },
				"cut in the answer":   func() { s.FailTimes(1, kubetest.Truncate()) },
				"client closed":       c.Close,
			} {
				disturb()
				if status, err := c.ReviewToken(t.Context(), s.Reviewer, nil); err != nil || !status.Authenticated {
					t.Errorf("%s: the review says %+v, error %v", name, status, err)
				}
			}
		})
	}
}

// A connection that died without a word costs a login one attempt, and the next
// ones nothing.
func TestSilentConnection(t *testing.T) {
	for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := kubetest.StartWith(t, o)
			c := newClient(t, s, timeout(10*soon)) // enough for the second attempt on a busy machine
			for _, then := range []func(){func() {}, s.Silence, func() {}} {
				then()
				if status, err := c.ReviewToken(t.Context(), s.Reviewer, nil); err != nil || !status.Authenticated {
					t.Errorf("the review says %+v, error %v", status, err)
				}
			}
			if got := s.Count(kubetest.TokenReviews); got != 3 {
				t.Errorf("%d requests arrived, want 3", got)
			}
		})
	}
}

// A request that hangs is given a second attempt, and no third.
func TestHangingRequests(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s, timeout(10*soon))
	s.FailTimes(1, kubetest.Hang())
	if status, err := c.ReviewToken(t.Context(), s.Reviewer, nil); err != nil || !status.Authenticated {
		t.Errorf("the review says %+v, error %v", status, err)
	}
	if got := s.Count(kubetest.TokenReviews); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
	s.Forget()
	s.Fail(kubetest.Hang())
	_, err := newClient(t, s, timeout(soon)).ReviewToken(t.Context(), s.Reviewer, nil)
	wantFailure(t, err, kube.Timeout)
	if got := s.Count(kubetest.TokenReviews); got > 2 {
		t.Errorf("%d requests, want at most 2", got)
	}
}

// What the API server said is not asked again, and neither is what would be the
// same the second time.
func TestNoSecondAttempt(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{
		"credential rejected": kubetest.Status(http.StatusUnauthorized),
		"permission missing":  kubetest.Status(http.StatusForbidden),
		"throttled":           kubetest.Status(http.StatusTooManyRequests),
		"internal error":      kubetest.Status(http.StatusInternalServerError),
		"page of a proxy":     kubetest.HTML(http.StatusOK),
		"too large":           kubetest.Oversize(8<<20, nil),
	} {
		for call, ask := range calls {
			t.Run(name+" "+call, func(t *testing.T) {
				s := kubetest.Start(t)
				s.Fail(fault)
				if ask(t.Context(), newClient(t, s)) == nil {
					t.Error("no error")
				}
				if got := len(s.Requests()); got != 1 {
					t.Errorf("%d requests, want 1", got)
				}
			})
		}
	}
}

// Requests beyond the bound wait for their turn, and no longer than two attempts
// may take.
func TestConcurrencyIsBounded(t *testing.T) {
	s := kubetest.Start(t)
	const bound = 3
	c := newClient(t, s, func(o *kube.Options) { o.MaxConcurrent = bound })
	release, entered := make(chan struct{}), make(chan struct{}, bound)
	s.FailTimes(bound, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		kubetest.Status(http.StatusForbidden)(w, r)
	})
	var all sync.WaitGroup
	for range bound {
		all.Go(func() { wantFailure(t, calls["ReviewToken"](t.Context(), c), kube.Forbidden) })
	}
	for range bound {
		<-entered
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	wantFailure(t, calls["Namespace"](ctx, c), kube.Busy)
	gone, cancelGone := context.WithCancel(t.Context())
	cancelGone()
	wantFailure(t, calls["Namespace"](gone, c), kube.Canceled)
	if got := len(s.Requests()); got != bound {
		t.Errorf("%d requests reached the server, want %d", got, bound)
	}
	close(release)
	all.Wait()
	if err := calls["Namespace"](t.Context(), c); err != nil {
		t.Errorf("after all turns were given back: %v", err)
	}
}
