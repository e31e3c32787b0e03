package kube_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

func asItIs(s string) string { return s }

// An answer that is an error is cleared before client-go cuts it: of a secret that is cut
// in two, the half would not be known for what it is.
func TestSecretsAreTakenOutBeforeAnAnswerIsCut(t *testing.T) {
	const credential = "hunter2hunter2"
	s := kubetest.Start(t)
	for before := 2020; before < 2060; before++ { // client-go quotes 2048 bytes
		s.Heal()
		s.Fail(kubetest.Text(http.StatusBadGateway, "text/plain", strings.Repeat("x", before-1)+" "+credential+" is what you sent"))
		_, err := newClient(t, s, func(o *kube.Options) { o.Credential = func() string { return credential } }).Namespace(t.Context(), loginToken, "apps")
		if err == nil || strings.Contains(err.Error(), "hunt") {
			t.Errorf("%d bytes before: the error is %.60s…%s", before, err, strings.TrimLeft(err.Error(), "x"))
		}
	}
}

// What an error is about can be asked for once its text is cleared.
func TestClearedErrorsKeepTheirKind(t *testing.T) {
	s := kubetest.Start(t)
	for code, want := range map[int]kube.Failure{
		http.StatusUnauthorized: kube.Unauthorized, http.StatusForbidden: kube.Forbidden,
		http.StatusTooManyRequests: kube.Throttled, http.StatusBadGateway: kube.ServerError,
	} {
		s.Heal()
		s.Fail(kubetest.Echo(code, asItIs, func(echo string) (string, string) {
			_, body := kubetest.Shapes["Status"](echo)
			return "application/json", strings.Replace(body, "{", fmt.Sprintf(`{"code":%d,`, code), 1)
		}))
		_, err := newClient(t, s).ReviewToken(t.Context(), loginToken, nil)
		wantFailure(t, err, want)
		if text := err.Error(); strings.Contains(text, loginToken) || strings.Contains(text, s.Reviewer) || !strings.Contains(text, scrub.Redacted) {
			t.Errorf("%d: %s", code, text)
		}
		if inner := errors.Unwrap(errors.Unwrap(err)); inner != nil {
			t.Errorf("%d: the error as it was can be had: %v", code, inner)
		}
	}
}

// An answer that is an error is bounded more tightly than a good one.
func TestLongErrorsAreCut(t *testing.T) {
	s := kubetest.Start(t)
	s.Fail(kubetest.Text(http.StatusBadGateway, "text/plain", strings.Repeat("many words ", 1<<19)))
	_, err := newClient(t, s).ReviewToken(t.Context(), loginToken, nil)
	wantFailure(t, err, kube.ServerError)
	if len(err.Error()) > 10<<10 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

// Why the API server does not vouch for a token, it says in a text of its own, or of a
// webhook's, and that may repeat the token, or the reviewer's.
func TestTheReasonOfAReviewHasNoSecret(t *testing.T) {
	s := kubetest.Start(t)
	client := newClient(t, s)
	for name, secret := range map[string]string{"login's token": loginToken, "reviewer's token": s.Reviewer} {
		for _, authenticated := range []bool{false, true} {
			s.OnReview(func(r *authv1.TokenReview) {
				r.Status.Authenticated, r.Status.Error = authenticated, "this is no good: "+secret+", sorry"
			})
			status, err := client.ReviewToken(t.Context(), loginToken, nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := "this is no good: " + scrub.Redacted + ", sorry"; status.Error != want || status.Authenticated != authenticated {
				t.Errorf("the %s, authenticated %t: the reason is %q (authenticated: %t), want %q", name, authenticated, status.Error, status.Authenticated, want)
			}
		}
	}
}
