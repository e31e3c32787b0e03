package kube_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is the deadline where it is to pass; long that of all others.
const (
	soon = 100 * time.Millisecond
	long = 30 * time.Second
)

// loginToken is a token that does not convince the server of anything.
const loginToken = "login.token.signature"

func newClient(t *testing.T, s *kubetest.Server, changes ...func(*kube.Options)) *kube.Client {
	t.Helper()
	host, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := kube.Options{
		Host:           host,
		CAPEM:          s.CAPEM,
		Credential:     func() string { return s.Reviewer },
		RequestTimeout: long,
		MaxConcurrent:  100,
		UserAgent:      "test/1",
	}
	for _, change := range changes {
		change(&o)
	}
	c, err := kube.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func timeout(d time.Duration) func(*kube.Options) {
	return func(o *kube.Options) { o.RequestTimeout = d }
}

func credential(token string) func(*kube.Options) {
	return func(o *kube.Options) { o.Credential = func() string { return token } }
}

// calls are all that a client can ask for.
var calls = map[string]func(context.Context, *kube.Client) error{
	"ReviewToken": func(ctx context.Context, c *kube.Client) error {
		_, err := c.ReviewToken(ctx, loginToken, nil)
		return err
	},
	"Namespace": func(ctx context.Context, c *kube.Client) error {
		_, err := c.Namespace(ctx, loginToken, kubetest.ReviewerNamespace)
		return err
	},
	"ServiceAccount": func(ctx context.Context, c *kube.Client) error {
		_, err := c.ServiceAccount(ctx, loginToken, kubetest.ReviewerNamespace, kubetest.ReviewerName)
		return err
	},
}

// wantFailure wants one of several failures.
func wantFailure(t *testing.T, err error, want ...kube.Failure) {
	t.Helper()
	var failed *kube.Error
	if !errors.As(err, &failed) {
		t.Errorf("the error is %v of type %T, want a *kube.Error", err, err)
	} else if !slices.Contains(want, failed.Failure) {
		t.Errorf("classified as %q, want %q: %v", failed.Failure, want, err)
	}
}

func TestAnswers(t *testing.T) {
	for protocol, o := range map[string]kubetest.Options{"HTTP/2.0": {}, "HTTP/1.1": {HTTP1: true}} {
		t.Run(protocol, func(t *testing.T) {
			s := kubetest.StartWith(t, o)
			uid := s.AddServiceAccount("apps", "web")
			s.AddNamespace("apps", map[string]string{"team": "ci"})
			s.Annotate("apps", "web", map[string]string{"a": "b"})
			c := newClient(t, s)

			status, err := c.ReviewToken(t.Context(), s.Token("apps", "web", kubetest.Audience("vault")), []string{"other", "vault"})
			if err != nil || !status.Authenticated || status.User.UID != uid || !slices.Equal(status.Audiences, []string{"vault"}) {
				t.Errorf("the review says %+v, error %v", status, err)
			}
			status, err = c.ReviewToken(t.Context(), loginToken, nil)
			if err != nil || status.Authenticated || status.Error == "" {
				t.Errorf("the review of a bad token says %+v, error %v", status, err)
			}
			namespace, err := c.Namespace(t.Context(), loginToken, "apps")
			if err != nil || namespace.Labels["team"] != "ci" {
				t.Errorf("namespace %+v, error %v", namespace, err)
			}
			account, err := c.ServiceAccount(t.Context(), loginToken, "apps", "web")
			if err != nil || account.Annotations["a"] != "b" {
				t.Errorf("service account %+v, error %v", account, err)
			}
			for _, r := range s.Requests() {
				if r.Bearer != s.Reviewer || r.UserAgent != "test/1" || r.Protocol != protocol {
					t.Errorf("recorded %+v", r)
				}
			}
		})
	}
}

// The path of the host is kept, as it is needed behind Rancher and other proxies.
func TestHostWithAPath(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s, func(o *kube.Options) { o.Host = o.Host.JoinPath("k8s", "clusters", "c-1") })
	for name, call := range calls {
		if call(t.Context(), c) == nil {
			t.Errorf("%s: no error for a path that the server does not have", name)
		}
	}
	for _, r := range s.Requests() {
		if !strings.HasPrefix(r.Path, "/k8s/clusters/c-1/api") {
			t.Errorf("a request went to %s", r.Path)
		}
	}
	if got := len(s.Requests()); got != len(calls) {
		t.Errorf("%d requests, want %d", got, len(calls))
	}
}

// Each way in which a server fails, seen by each call.
func TestFailures(t *testing.T) {
	for name, row := range map[string]struct {
		fault   kubetest.Fault
		want    kube.Failure
		timeout time.Duration
	}{
		"credential rejected":             {kubetest.Status(http.StatusUnauthorized), kube.Unauthorized, long},
		"permission missing":              {kubetest.Status(http.StatusForbidden), kube.Forbidden, long},
		"object missing":                  {kubetest.Status(http.StatusNotFound), kube.NotFound, long},
		"throttled":                       {kubetest.Status(http.StatusTooManyRequests), kube.Throttled, long},
		"throttled beyond the deadline":   {kubetest.RetryAfter(http.StatusTooManyRequests, 3600), kube.Throttled, long},
		"internal error":                  {kubetest.Status(http.StatusInternalServerError), kube.ServerError, long},
		"unavailable":                     {kubetest.Status(http.StatusServiceUnavailable), kube.ServerError, long},
		"unavailable beyond the deadline": {kubetest.RetryAfter(http.StatusServiceUnavailable, 3600), kube.ServerError, long},
		"gateway timeout":                 {kubetest.HTML(http.StatusGatewayTimeout), kube.ServerError, long},
		"bad request":                     {kubetest.Status(http.StatusBadRequest), kube.Malformed, long},
		"path missing":                    {http.NotFound, kube.Malformed, long},
		"page of a proxy":                 {kubetest.HTML(http.StatusOK), kube.Malformed, long},
		"login page of a proxy":           {kubetest.HTML(http.StatusUnauthorized), kube.Malformed, long},
		"block page of a firewall":        {kubetest.HTML(http.StatusForbidden), kube.Malformed, long},
		"page missing":                    {kubetest.HTML(http.StatusNotFound), kube.Malformed, long},
		"wrong kind":                      {kubetest.WrongKind(), kube.Malformed, long},
		"no kind":                         {kubetest.Text(http.StatusOK, "application/json", `{}`), kube.Malformed, long},
		"success without an object":       {kubetest.Text(http.StatusOK, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Success"}`), kube.Malformed, long},
		"nothing":                         {kubetest.Text(http.StatusOK, "application/json", ""), kube.Malformed, long},
		"no content":                      {kubetest.Text(http.StatusNoContent, "", ""), kube.Malformed, long},
		"not JSON":                        {kubetest.Text(http.StatusOK, "application/json", "<html>"), kube.Malformed, long},
		"JSON null":                       {kubetest.Text(http.StatusOK, "application/json", "null"), kube.Malformed, long},
		"JSON of another shape":           {kubetest.Text(http.StatusOK, "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":[]}`), kube.Malformed, long},
		"redirect":                        {kubetest.Redirect(http.StatusFound, "https://example.invalid/"), kube.Malformed, long},
		"redirect that keeps the method":  {kubetest.Redirect(http.StatusTemporaryRedirect, "https://example.invalid/"), kube.Malformed, long},
		"too large":                       {kubetest.Oversize(8<<20, nil), kube.Malformed, long},
		"hangs":                           {kubetest.Hang(), kube.Timeout, soon},
		"never ends":                      {kubetest.Slow(soon / 10), kube.Timeout, soon},
		"truncated":                       {kubetest.Truncate(), kube.Connection, long},
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
				s := kubetest.StartWith(t, o)
				c := newClient(t, s, timeout(row.timeout))
				s.Fail(row.fault)
				for call, ask := range calls {
					t.Run(protocol+" "+call, func(t *testing.T) { wantFailure(t, ask(t.Context(), c), row.want) })
				}
			}
		})
	}
}

func TestConnectionBreaks(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{
		"connection closed": kubetest.CloseConnection(),
		"stream reset":      kubetest.ResetStream(),
	} {
		for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
			for call, ask := range calls {
				t.Run(name+" "+protocol+" "+call, func(t *testing.T) {
					t.Parallel()
					s := kubetest.StartWith(t, o)
					s.Fail(fault)
					if call == "ReviewToken" {
						wantFailure(t, ask(t.Context(), newClient(t, s)), kube.Connection)
						return
					}
					// client-go repeats a GET until the deadline.
					wantFailure(t, ask(t.Context(), newClient(t, s, timeout(soon))), kube.Connection, kube.Timeout)
				})
			}
		}
	}
}

// The API server answers with a page and may, or may not, cut the connection
// before it was read.
func TestHTTPToAnHTTPSPort(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s, func(o *kube.Options) { o.Host.Scheme = "http" })
	for call, ask := range calls {
		t.Run(call, func(t *testing.T) { wantFailure(t, ask(t.Context(), c), kube.Malformed, kube.Connection) })
	}
}

func TestFailuresBeforeTheRequest(t *testing.T) {
	expired := kubetest.Options{NotAfter: time.Now().Add(-time.Minute)}
	otherName := kubetest.Options{Names: []string{"kubernetes.default.svc"}}
	clientCertificate := kubetest.Options{TLS: func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }}
	oldTLS := kubetest.Options{TLS: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }}
	other := kubetest.Start(t)
	for name, row := range map[string]struct {
		server kubetest.Options
		change func(*kube.Options)
		want   kube.Failure
	}{
		"wrong CA":                     {change: func(o *kube.Options) { o.CAPEM = other.CAPEM }, want: kube.TLS},
		"system roots":                 {change: func(o *kube.Options) { o.CAPEM = "" }, want: kube.TLS},
		"wrong name":                   {server: otherName, want: kube.TLS},
		"expired certificate":          {server: expired, want: kube.TLS},
		"client certificate asked for": {server: clientCertificate, want: kube.TLS},
		"no common TLS version":        {server: oldTLS, want: kube.TLS},
		"https to an http port":        {change: plainServer(t), want: kube.Malformed},
		"closed port":                  {change: func(o *kube.Options) { o.Host.Host = closedPort(t) }, want: kube.Connection},
		"name does not resolve":        {change: func(o *kube.Options) { o.Host.Host = "kubernetes.invalid" }, want: kube.DNS},
		"silent port":                  {change: silentPort(t), want: kube.Timeout},
		"credential with a newline":    {change: credential("a\nb"), want: kube.Setup},
	} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.StartWith(t, row.server)
			c := newClient(t, s, func(o *kube.Options) {
				if row.change != nil {
					row.change(o)
				}
			})
			for call, ask := range calls {
				t.Run(call, func(t *testing.T) { wantFailure(t, ask(t.Context(), c), row.want) })
			}
			if requests := s.Requests(); len(requests) > 0 {
				t.Errorf("%+v reached the server", requests[0])
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// silentPort accepts connections and says nothing.
func silentPort(t *testing.T) func(*kube.Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func(o *kube.Options) { o.Host.Host, o.RequestTimeout = l.Addr().String(), soon }
}

// plainServer speaks HTTP where HTTPS is expected.
func plainServer(t *testing.T) func(*kube.Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: long}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return func(o *kube.Options) { o.Host.Host = l.Addr().String() }
}

func TestBadCA(t *testing.T) {
	host, err := kube.ParseHost("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = kube.New(kube.Options{Host: host, CAPEM: "garbage", Credential: func() string { return "" }, RequestTimeout: long})
	wantFailure(t, err, kube.Setup)
}

// The credential, and the token under review, stay with the host that was
// configured.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, code := range []int{
		http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
	} {
		for name, ask := range calls {
			t.Run(http.StatusText(code)+" "+name, func(t *testing.T) {
				s, other := kubetest.Start(t), kubetest.Start(t)
				s.Fail(kubetest.Redirect(code, other.URL+"/apis/authentication.k8s.io/v1/tokenreviews"))
				c := newClient(t, s, func(o *kube.Options) { o.CAPEM += other.CAPEM })
				wantFailure(t, ask(t.Context(), c), kube.Malformed)
				if got := len(s.Requests()); got != 1 {
					t.Errorf("%d requests reached the server, want 1", got)
				}
				if got := other.Requests(); len(got) > 0 {
					t.Errorf("the redirect was followed: %+v", got)
				}
			})
		}
	}
}

func TestOversizedAnswerIsBounded(t *testing.T) {
	for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
		t.Run(protocol, func(t *testing.T) {
			s := kubetest.StartWith(t, o)
			var sent atomic.Int64
			const endless = 1 << 40
			s.Fail(kubetest.Oversize(endless, &sent))
			_, err := newClient(t, s).ReviewToken(t.Context(), loginToken, nil)
			wantFailure(t, err, kube.Malformed)
			// What is under way in buffers comes on top of the bound of 4 MiB.
			if got := sent.Load(); got > 32<<20 {
				t.Errorf("%d MiB were taken", got>>20)
			}
		})
	}
}

func TestDeadlineIsRespected(t *testing.T) {
	s := kubetest.Start(t)
	s.Fail(kubetest.Hang())
	for name, ask := range calls {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			wantFailure(t, ask(t.Context(), newClient(t, s, timeout(soon))), kube.Timeout)
			if took := time.Since(start); took > 20*soon {
				t.Errorf("it took %s, the deadline was %s", took, soon)
			}
		})
		t.Run(name+" of the caller", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
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
			s.FailTimes(2, kubetest.RetryAfter(code, 0))
			status, err := newClient(t, s).ReviewToken(t.Context(), s.Reviewer, nil)
			if err != nil || !status.Authenticated {
				t.Errorf("the review says %+v, error %v", status, err)
			}
			if got := s.Count(kubetest.TokenReviews); got != 3 {
				t.Errorf("%d requests, want 3", got)
			}
		})
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

func TestCredential(t *testing.T) {
	for name, row := range map[string]struct{ configured, want string }{
		"configured": {"reviewer", "reviewer"},
		"none":       {"", loginToken},
	} {
		for call, ask := range calls {
			t.Run(name+" "+call, func(t *testing.T) {
				s := kubetest.Start(t)
				wantFailure(t, ask(t.Context(), newClient(t, s, credential(row.configured))), kube.Unauthorized)
				if r := s.Requests(); len(r) != 1 || r[0].Bearer != row.want {
					t.Errorf("recorded %+v, want the bearer %q", r, row.want)
				}
			})
		}
	}
}

// The credential is asked for anew by every request, so that a token which was
// renewed on disk counts at once.
func TestCredentialIsFollowed(t *testing.T) {
	s := kubetest.Start(t)
	var current atomic.Value
	c := newClient(t, s, func(o *kube.Options) { o.Credential = func() string { return current.Load().(string) } })
	for _, token := range []string{"first", "second", ""} {
		current.Store(token)
		s.Forget()
		want := token
		if want == "" {
			want = loginToken
		}
		if err := calls["ReviewToken"](t.Context(), c); err == nil {
			t.Error("an invented credential was accepted")
		}
		if r := s.Requests(); len(r) != 1 || r[0].Bearer != want {
			t.Errorf("recorded %+v, want the bearer %q", r, want)
		}
	}
}

func TestSelfReview(t *testing.T) {
	s := kubetest.Start(t)
	s.AddServiceAccount("apps", "web")
	c := newClient(t, s, credential(""))
	token := s.Token("apps", "web")
	_, err := c.ReviewToken(t.Context(), token, nil)
	wantFailure(t, err, kube.Forbidden)
	s.Grant("apps", "web", kubetest.TokenReviews)
	if status, err := c.ReviewToken(t.Context(), token, nil); err != nil || !status.Authenticated {
		t.Errorf("the review says %+v, error %v", status, err)
	}
}

// No error text may hold a token: errors are logged.
func TestErrorsHoldNoToken(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{
		"credential rejected": kubetest.Status(http.StatusUnauthorized),
		"page of a proxy":     kubetest.HTML(http.StatusBadGateway),
		"connection closed":   kubetest.CloseConnection(),
		"redirect":            kubetest.Redirect(http.StatusFound, "/"),
	} {
		for call, ask := range calls {
			t.Run(name+" "+call, func(t *testing.T) {
				s := kubetest.Start(t)
				s.Fail(fault)
				err := ask(t.Context(), newClient(t, s, timeout(soon)))
				if err == nil {
					t.Fatal("no error")
				}
				for _, secret := range []string{s.Reviewer, loginToken, "Authorization", "Bearer"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the error holds %q: %v", secret, err)
					}
				}
			})
		}
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
