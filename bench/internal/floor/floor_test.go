package floor

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"vault-plugin-auth-kubernetes/bench/internal/load"
)

// TestMain lets this program stand for the bench when it is started as the client.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Command {
		if err := Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// apiServer answers reviews with status and body, and notes what it was asked.
type apiServer struct {
	*httptest.Server
	mu     sync.Mutex
	asked  map[string]int // by the token under review
	faults []string
}

func newAPIServer(t *testing.T, status int, body string) *apiServer {
	t.Helper()
	s := &apiServer{asked: map[string]int{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.note(r)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var review authv1.TokenReview
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = runtime.DecodeInto(form, body, &review)
	}
	s.asked[review.Spec.Token]++
	if err != nil || review.Kind != "TokenReview" || len(review.Spec.Audiences) != 1 || review.Spec.Audiences[0] != "vault" {
		s.faults = append(s.faults, fmt.Sprintf("asked for %+v, %v", review.Spec.Audiences, err))
	}
	if r.ProtoMajor != 2 || r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" ||
		r.Header.Get("Authorization") != "Bearer reviewer" {
		s.faults = append(s.faults, fmt.Sprintf("%s %s %s", r.Proto, r.Method, r.URL))
	}
}

func (s *apiServer) setup() Setup {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return Setup{Host: s.URL, CAPEM: string(ca), Credential: "reviewer", Audience: "vault", Tokens: []string{"secret-one", "secret-two"}}
}

func start(t *testing.T, setup Setup) *Process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(t.Context(), program, setup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

var confirmed = authv1.TokenReviewStatus{Authenticated: true, User: authv1.UserInfo{Username: "system:serviceaccount:bench:app"}}

// encoded is a review with a status, as an API server answers.
func encoded(t *testing.T, status authv1.TokenReviewStatus) string {
	t.Helper()
	body, err := runtime.Encode(form, &authv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}, Status: status,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestReviews(t *testing.T) {
	server := newAPIServer(t, http.StatusCreated, encoded(t, confirmed))
	p := start(t, server.setup())
	for range 2 { // a process serves many runs
		result, err := p.Run(t.Context(), 3, load.Plan{Duration: 30 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if result.Calls == 0 || result.Elapsed < 30*time.Millisecond {
			t.Errorf("got %+v", result)
		}
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.asked["secret-one"] == 0 || server.asked["secret-two"] == 0 || len(server.asked) != 2 || len(server.faults) > 0 {
		t.Errorf("asked %v, faults %v", server.asked, server.faults)
	}
}

func TestFailedReviews(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"refused", `{"message":"forbidden"}`, http.StatusForbidden, "forbidden"},
		{"not authenticated", encoded(t, authv1.TokenReviewStatus{}), http.StatusCreated, "not authenticated"},
		{"nobody's", encoded(t, authv1.TokenReviewStatus{Authenticated: true}), http.StatusCreated, "not authenticated"},
		{"garbage with a token", "secret-one", http.StatusCreated, "no TokenReview"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, newAPIServer(t, tt.status, tt.body).setup())
			_, err := p.Run(t.Context(), 1, load.Plan{Duration: 10 * time.Second})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestProcessThatIsGone(t *testing.T) {
	p := start(t, newAPIServer(t, http.StatusCreated, encoded(t, confirmed)).setup())
	_ = p.cmd.Process.Kill()
	if _, err := p.Run(t.Context(), 1, load.Plan{Duration: time.Second}); err == nil {
		t.Error("a process that is gone made a run")
	}
}

func TestUnusableSetup(t *testing.T) {
	good := newAPIServer(t, http.StatusCreated, encoded(t, confirmed)).setup()
	withoutCA, withoutTokens := good, good
	withoutCA.CAPEM = "none"
	withoutTokens.Tokens = nil
	for name, setup := range map[string]Setup{"no CA": withoutCA, "no tokens": withoutTokens} {
		encoded, err := json.Marshal(setup)
		if err != nil {
			t.Fatal(err)
		}
		if err := Serve(t.Context(), strings.NewReader(string(encoded)), t.Output()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
