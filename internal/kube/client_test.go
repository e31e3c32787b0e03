package kube_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
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

// calls are all that a client asks for at a login.
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
