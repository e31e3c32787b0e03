package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// TestWhyTheReviewerIsRejected: what a reviewer's token says of itself comes first among
// the reasons for which it may be rejected.
func TestWhyTheReviewerIsRejected(t *testing.T) {
	for name, row := range map[string]struct {
		token func(m *mount) string
		first string
		more  string
	}{
		"bound to a pod that is gone": {func(m *mount) string {
			m.api.AddPod(kubetest.ReviewerNamespace, "vault-0", "")
			token := m.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName, m.api.BoundToPod("vault-0"))
			m.api.DeletePod(kubetest.ReviewerNamespace, "vault-0")
			return token
		}, `it is of another cluster, the pod "vault-0" that it is bound to is gone`, ""},
		"account deleted": {func(m *mount) string {
			m.api.DeleteServiceAccount(kubetest.ReviewerNamespace, kubetest.ReviewerName)
			return m.api.Reviewer
		}, "its service account kube-system/reviewer was deleted", "signing keys"},
		"for another audience": {func(m *mount) string {
			return m.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Audience("vault"))
		}, "", `another audience than the API server's own: it says ["vault"]`},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.write("config", m.config(fields{"token_reviewer_jwt": row.token(m)}))
			found := fmt.Sprint(m.read("check")["reviewer"])
			if !strings.HasPrefix(found, "fail: ") || !strings.Contains(found, row.first) || !strings.Contains(found, row.more) {
				t.Errorf("found %q", found)
			}
		})
	}
}

// TestReviewerThatDiesWithAPod warns of a token that was copied out of a pod, before the
// pod is gone.
func TestReviewerThatDiesWithAPod(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.api.AddPod(kubetest.ReviewerNamespace, "vault-0", "")
	m.write("config", m.config(fields{"token_reviewer_jwt": m.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName, m.api.BoundToPod("vault-0"))}))
	m.mustLogin(m.token())
	if found := fmt.Sprint(m.read("check")["reviewer_token"]); !strings.HasPrefix(found, "warn: ") || !strings.Contains(found, `bound to the pod "vault-0"`) {
		t.Errorf("found %q", found)
	}
}

// TestTokenThatReviewsItself: without a reviewer a token for Vault alone is no credential
// of the API server, and the remedy says so.
func TestTokenThatReviewsItself(t *testing.T) {
	m := newDemo(t, fields{"token_reviewer_jwt": nil}, nil)
	m.api.Grant("apps", "web", kubetest.TokenReviews)
	token := m.token()
	wantRefused(t, m.login("demo", token), http.StatusForbidden)
	remedy := fmt.Sprint(m.explain(fields{"role": "demo", "jwt": token}).data["remedy"])
	if !strings.Contains(remedy, "the API server's own audience beside any other") || strings.Contains(remedy, "rejects the reviewer's credential") {
		t.Errorf("the remedy is %q", remedy)
	}
	m.mustLogin(m.token(kubetest.Audience("vault", m.api.Issuer)))
}
