package kube_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

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
