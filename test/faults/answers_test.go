package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What a client of Vault reads, to the byte. Neither says anything of the cluster.
const (
	unavailableBody = `{"errors":["the Kubernetes API server could not be asked about this token; try again later"]}`
	deniedBody      = `{"errors":["permission denied"]}`
)

// What the operator is told to do.
const (
	lookAtHealth   = "look at the API server's own health and logs"
	checkReachable = "check that kubernetes_host can be reached from Vault, and firewalls in between"
	checkIsAPI     = "check that kubernetes_host is the base URL of a Kubernetes API server"
)

// answerRow is what an API server answers to a TokenReview, and what comes of it.
type answerRow struct {
	name   string
	answer http.HandlerFunc
	// What the client sees: a status, and its body unless it is a token's.
	status int
	body   string
	// What the log says at the default level; an empty class is for no line.
	outcome, class, reason, remedy string
	// requests is how many the API server may get; 0 is for one.
	requests int64
}

var answerRows = []answerRow{
	{
		name: "a healthy answer", answer: vouches,
		status: http.StatusOK,
	},
	{
		name: "not authenticated", answer: denies,
		status: http.StatusForbidden, body: deniedBody, // a client's fault, and for the debug level
	},
	{
		name: "review of another token", answer: says(http.StatusCreated, fields{
			"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
			"spec": fields{"token": "x"}, "status": fields{"authenticated": true},
		}),
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "unusable answer", reason: "another token than was sent",
		remedy: "have what stands between Vault and the API server pass requests and answers on as they are: it masks or changes tokens; or set kubernetes_host to the address of the API server itself",
	},
	{
		name: "slow body", answer: dribbling(50 * time.Millisecond),
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "timeout", reason: "deadline exceeded", remedy: checkReachable,
		requests: 2,
	},
	{
		name: "truncated body", answer: truncate,
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "connection", reason: "create TokenReview", remedy: checkReachable,
		requests: 2,
	},
	{
		name: "not JSON", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html><body>It works!</body></html>")
		},
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "unusable answer", reason: "create TokenReview", remedy: checkIsAPI,
	},
	{
		name: "not JSON and says so not", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "It works!")
		},
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "unusable answer", reason: "create TokenReview", remedy: checkIsAPI,
	},
	{
		name: "wrong kind", answer: says(http.StatusCreated, fields{
			"kind": "Namespace", "apiVersion": "v1", "metadata": fields{"name": "default"},
			"status": fields{"authenticated": true},
		}),
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "unusable answer", reason: "another object", remedy: checkIsAPI,
	},
	{
		name: "empty object", answer: says(http.StatusCreated, fields{}),
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "unusable answer", reason: "another object", remedy: checkIsAPI,
	},
	{
		name: "redirect", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "unusable answer", reason: `has Location: "/elsewhere"`,
		remedy: "what kubernetes_host names sends clients elsewhere, as to a page to log in at: set kubernetes_host to the address of the API server itself",
	},
	{
		name: "401", answer: saysStatus(http.StatusUnauthorized, "Unauthorized", "Unauthorized"),
		status: http.StatusForbidden, body: deniedBody,
		outcome: "denied", class: "unauthorized", reason: "Unauthorized",
		remedy: "the API server rejects the reviewer's credential: set a current token_reviewer_jwt or kubernetes_client_cert, or check that the host is the cluster that issued it",
	},
	{
		name: "403", answer: saysStatus(http.StatusForbidden, "Forbidden",
			`tokenreviews.authentication.k8s.io is forbidden: User "system:serviceaccount:a:b" cannot create resource "tokenreviews"`),
		status: http.StatusForbidden, body: deniedBody,
		outcome: "denied", class: "forbidden", reason: `User "system:serviceaccount:a:b" cannot create`,
		remedy: "grant the reviewer the missing permission (for TokenReview: ClusterRole system:auth-delegator)",
	},
	{
		name: "404", answer: saysStatus(http.StatusNotFound, "NotFound", "the server could not find the requested resource"),
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "not found", reason: "could not find the requested resource",
		remedy: "check that the object exists, and that kubernetes_host is the base URL of the API server",
	},
	{
		name: "429 once, Retry-After 1", answer: throttleOnce(),
		status: http.StatusOK, requests: 2,
	},
	{
		name: "429 with Retry-After beyond the deadline", answer: throttle("60"),
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "throttled", reason: "too many requests", remedy: lookAtHealth,
	},
	{
		name: "429 again and again, Retry-After 1", answer: throttle("1"),
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "throttled", reason: "too many requests", remedy: lookAtHealth,
		requests: 2,
	},
	{
		name: "500", answer: saysStatus(http.StatusInternalServerError, "InternalError", "etcdserver: no leader"),
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "server error", reason: "etcdserver: no leader", remedy: lookAtHealth,
	},
	{
		name: "502 of a load balancer", answer: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Bad Gateway", http.StatusBadGateway)
		},
		status: http.StatusServiceUnavailable, body: unavailableBody,
		outcome: "could not ask", class: "server error", reason: "create TokenReview", remedy: lookAtHealth,
	},
}

// TestAnswers is the table of what a sick API server, or whatever answers in its
// place, means to the clients of Vault and to the log.
func TestAnswers(t *testing.T) {
	for _, row := range answerRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			testAnswer(t, row)
		})
	}
}

// answerTimeout is short, for the rows that run into it.
const answerTimeout = 2 * time.Second

func testAnswer(t *testing.T, row answerRow) {
	var requests atomic.Int64
	api := newFakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if want := "/apis/authentication.k8s.io/v1/tokenreviews"; r.URL.Path != want {
			t.Errorf("the plugin asked for %s", r.URL.Path)
		}
		row.answer(w, r)
	})
	m := newMount(t)
	m.configure(t, api.url, api.caPEM, fields{"request_timeout": answerTimeout.String()})
	token := kube.newToken(t)

	a := m.login(t, token)
	if a.status != row.status || row.body != "" && strings.TrimSpace(a.body) != row.body {
		t.Errorf("want %d %s, got %v", row.status, row.body, a)
	}
	if a.took > 2*answerTimeout+allowed(t, time.Second) {
		t.Errorf("the login took %v, which is beyond two attempts of %v", a.took, answerTimeout)
	}
	if got := requests.Load(); got < 1 || got > max(1, row.requests) {
		t.Errorf("the API server got %d requests, want at most %d", got, max(1, row.requests))
	}
	checkLog(t, m, row, token)
}

// logLine holds the keys of a line that operators, and their alerts, go by.
type logLine struct {
	Level   string `json:"@level"`
	Mount   string `json:"mount"`
	Role    string `json:"role"`
	Step    string `json:"step"`
	Outcome string `json:"outcome"`
	Class   string `json:"class"`
	Reason  string `json:"reason"`
	Remedy  string `json:"remedy"`
}

func checkLog(t *testing.T, m mount, row answerRow, token string) {
	t.Helper()
	if row.class == "" {
		if lines := linesAbout(t, m); len(lines) > 0 {
			t.Errorf("want no line in the log, got %+v", lines)
		}
		return
	}
	var lines []logLine
	await(t, "a line in Vault's log", func() bool { lines = linesAbout(t, m); return len(lines) > 0 })
	got := lines[0]
	want := logLine{
		Level: "warn", Mount: "auth/" + m.path + "/", Role: roleName, Step: "token review",
		Outcome: row.outcome, Class: row.class, Remedy: row.remedy, Reason: got.Reason,
	}
	if len(lines) != 1 || got != want || !strings.Contains(got.Reason, row.reason) {
		t.Errorf("want one line %+v with a reason about %q, got %+v", want, row.reason, lines)
	}
	if strings.Contains(got.Reason, token) {
		t.Error("the reason holds the token")
	}
	t.Logf("client: %d; log: class=%q reason=%q", row.status, got.Class, got.Reason)
}

// linesAbout returns the lines of the plugin about a mount's logins.
func linesAbout(t *testing.T, m mount) (about []logLine) {
	t.Helper()
	content, err := os.ReadFile(bed.Vault.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		var l logLine
		// What Vault writes before its logger is set up is no JSON.
		if json.Unmarshal(line, &l) == nil && l.Mount == "auth/"+m.path+"/" {
			about = append(about, l)
		}
	}
	return about
}

// dribbling sends a byte at a time, so that no single read takes long.
func dribbling(pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			_ = http.NewResponseController(w).Flush()
			wait(r.Context(), pause)
		}
	}
}

// truncate promises more than it sends, and breaks off.
func truncate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func throttle(retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		saysStatus(http.StatusTooManyRequests, "TooManyRequests", "too many requests, please try again later")(w, r)
	}
}

func throttleOnce() http.HandlerFunc {
	var asked atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		if asked.CompareAndSwap(false, true) {
			throttle("1")(w, r)
			return
		}
		vouches(w, r)
	}
}
