package faults

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	authzv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRaftFailoverOfARenewal kills the leader of three Vaults while it asks a real API server for
// the reviewer's next token, with pods logging in. The good token goes on, no login is refused,
// nobody asks a second time by itself, and the new leader replaces the token as the old one did.
func TestRaftFailoverOfARenewal(t *testing.T) {
	kube.letMakeTokens(t)
	front := newTokenFront(t)
	c := newRaftCluster(t, hasty, "one", "two", "three")
	leader := c.leaderSeenBy(c.nodes[0])
	if err := bed.RegisterPlugin(t.Context(), leader.client); err != nil {
		t.Fatal(err)
	}
	m := mount{path: "pods", addr: leader.addr, token: c.token}
	m.enable(t)
	m.configure(t, front.url, front.caPEM, fields{
		"token_reviewer_service_account": kube.namespace + "/reviewer",
		"request_timeout":                60, // what is held is not asked for again meanwhile
	})
	front.wantRequests(t, "the first token was exchanged", 1)
	m.mustLogin(t)
	own := front.onlyReviewer(t)
	if own == kube.reviewer {
		t.Fatal("the mount has no token of its own")
	}
	clients := newFailoverLoad(t, c, m, kube.newToken(t))
	clients.awaitSuccess(t)

	release := front.hold()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = ask(m.addr, m.token, http.MethodPost, "auth/pods/config/rotate-reviewer", nil) // the node is killed under it
	}()
	await(t, "the leader to ask for the next token", func() bool { return front.requests() == 2 })
	leader.kill(t)
	<-ended
	release() // the plugin that the leader left behind gets a token, and nobody to store it

	clients.awaitSuccess(t)
	next := c.awaitLeader(t)
	if next == leader {
		t.Fatal("the leader that was killed is active")
	}
	m.at(next).mustLogin(t)
	if front.onlyReviewer(t) != own {
		t.Error("after the failover the reviewer's token is another")
	}
	front.wantRequests(t, "a token was asked for by nobody but the leader that was killed", 2)

	clients.stop() // no login that began before is under way below
	m.at(next).must(t, http.MethodPost, "auth/pods/config/rotate-reviewer", nil)
	front.wantRequests(t, "the new leader asked", 3)
	front.forget()
	m.at(next).mustLogin(t)
	renewed := front.onlyReviewer(t)
	if renewed == own {
		t.Error("the new leader goes on with the token that it replaced")
	}

	// And once more, with the first one back: what was stored last is what counts.
	c.restart(t, leader)
	clients = newFailoverLoad(t, c, m, kube.newToken(t))
	clients.awaitSuccess(t)
	next.kill(t)
	clients.awaitSuccess(t)
	last := c.awaitLeader(t)
	m.at(last).mustLogin(t)
	if front.onlyReviewer(t) != renewed {
		t.Error("the third leader has not the token that was stored last")
	}
	if set := m.at(last).snapshot(t, "config")["config"].(map[string]any)["token_reviewer_jwt_set"]; set != false {
		t.Errorf("token_reviewer_jwt_set is %v: a first token came back", set)
	}
	front.wantRequests(t, "nobody asked beside", 3)
	clients.stop()
	t.Logf("with the second failover: %v", clients)
}

// tokenFront stands before the API server, counts the requests for tokens, and can hold them.
type tokenFront struct {
	fakeAPI
	mu        sync.Mutex
	asked     int
	reviewers map[string]bool // by which tokens logins were reviewed
	held      chan struct{}   // closed where nothing is held
}

func newTokenFront(t *testing.T) *tokenFront {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(kube.CAPEM))
	target, err := url.Parse(kube.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway) // whoever asked has gone
		},
	}
	f := &tokenFront{held: closed, reviewers: map[string]bool{}}
	f.fakeAPI = newFakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // whoever asked has gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		<-f.note(r, body)
		proxy.ServeHTTP(w, r)
	})
	return f
}

// note takes down a request, and returns what it has to wait for.
func (f *tokenFront) note(r *http.Request, body []byte) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/serviceaccounts/reviewer/token"):
		f.asked++
		return f.held
	case strings.HasSuffix(r.URL.Path, "/tokenreviews"):
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bytes.Contains(body, []byte(bearer)) { // a new token is tried by a review of itself
			f.reviewers[bearer] = true
		}
	}
	return closed
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// hold has requests for tokens wait from now on until they are released.
func (f *tokenFront) hold() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := make(chan struct{})
	f.held = held
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.held = closed
		close(held)
	}
}

func (f *tokenFront) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *tokenFront) wantRequests(t *testing.T, when string, want int) {
	t.Helper()
	if got := f.requests(); got != want {
		t.Errorf("%s: %d requests for tokens, want %d", when, got, want)
	}
}

// onlyReviewer is the one token by which all logins were reviewed.
func (f *tokenFront) onlyReviewer(t *testing.T) string {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.reviewers) != 1 {
		t.Fatalf("logins were reviewed by %d tokens", len(f.reviewers))
	}
	for token := range f.reviewers {
		return token
	}
	return ""
}

// forget begins anew to note who reviews.
func (f *tokenFront) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reviewers = map[string]bool{}
}

// letMakeTokens lets the reviewer make tokens of itself, and returns once the API server has
// noticed.
func (c *cluster) letMakeTokens(t *testing.T) {
	t.Helper()
	const name = "reviewer-token"
	_, err := c.client.RbacV1().Roles(c.namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{"reviewer"}, Verbs: []string{"create"}}},
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = c.client.RbacV1().RoleBindings(c.namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: c.namespace, Name: "reviewer"}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the reviewer to be allowed to make tokens", func() bool {
		review, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authzv1.SubjectAccessReview{
			Spec: authzv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + c.namespace + ":reviewer",
				ResourceAttributes: &authzv1.ResourceAttributes{Resource: "serviceaccounts", Subresource: "token", Verb: "create", Namespace: c.namespace, Name: "reviewer"},
			},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed
	})
}
