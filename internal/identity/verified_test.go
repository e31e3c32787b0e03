package identity

import (
	"errors"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/token"
)

// vouched is what internal/token makes of a token, by the keys of the server.
func vouched(t *testing.T, s *kubetest.Server, raw string) token.Verified {
	t.Helper()
	keys, err := token.ParseKeySet(s.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	unverified, err := token.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	v, err := keys.Vouch(unverified, token.Terms{Issuer: s.Issuer, Audiences: []string{"vault"}, Unbound: true, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What a review confirms and what a signature does is the same identity, but for the means.
func TestFromVerifiedIsWhatAReviewSays(t *testing.T) {
	s := kubetest.Unserved()
	s.AddServiceAccount("apps", "web")
	s.AddPod("apps", "web-1", "node-1")
	s.AddPod("apps", "web-2", "")
	for name, changes := range map[string][]kubetest.Change{
		"a pod on a node": {kubetest.Audience("vault", "api"), s.BoundToPod("web-1")},
		"a pod on none":   {kubetest.Audience("vault"), s.BoundToPod("web-2")},
		"no pod":          {kubetest.Audience("vault")},
	} {
		t.Run(name, func(t *testing.T) {
			raw := s.Token("apps", "web", changes...)
			status := s.Review(raw, []string{"vault"})
			want, err := FromReview(&status, []string{"vault"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := FromVerified(vouched(t, s, raw), ByKeys)
			if err != nil {
				t.Fatal(err)
			}
			if got.ForLease() != want.ForLease() {
				t.Errorf("%s, and a review says %s", got.ForLease(), want.ForLease())
			}
			if got.By() != ByKeys || want.By() != ByReview {
				t.Errorf("by %q and %q", got.By(), want.By())
			}
		})
	}
}

func TestFromVerifiedRefuses(t *testing.T) {
	if _, err := FromVerified(token.Verified{}, ByKeys); !errors.Is(err, ErrNotServiceAccount) {
		t.Errorf("nobody: %v", err)
	}
	s := kubetest.Unserved()
	for name, subject := range map[string][2]string{
		"namespace climbs":  {"../kube-system", "web"},
		"name climbs":       {"apps", "../../secrets"},
		"name of two parts": {"apps", "web:admin"},
		"upper case":        {"apps", "Web"},
	} {
		raw := s.Token("apps", "web", kubetest.Audience("vault"), kubetest.Subject(subject[0], subject[1], "uid-1"))
		if _, err := FromVerified(vouched(t, s, raw), ByKeys); !errors.Is(err, ErrNotServiceAccount) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
