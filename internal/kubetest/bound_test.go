package kubetest_test

import (
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// What kube-apiserver 1.36 does with tokens whose objects go away, and around the ends of
// their validity.
func TestWhatTokensAreBoundTo(t *testing.T) {
	s := kubetest.Unserved()
	s.AddServiceAccount("apps", "web")
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for name, row := range map[string]struct {
		token func() string
		want  string // of the error; "" for a token that is valid
	}{
		"expired within the leeway":    {func() string { return s.Token("apps", "web", kubetest.Claim("exp", ago(50*time.Second))) }, ""},
		"expired":                      {func() string { return s.Token("apps", "web", kubetest.Claim("exp", ago(70*time.Second))) }, "service account token has expired"},
		"not valid yet, in the leeway": {func() string { return s.Token("apps", "web", kubetest.Claim("nbf", ago(-50*time.Second))) }, ""},
		"not valid yet":                {func() string { return s.Token("apps", "web", kubetest.Claim("nbf", ago(-70*time.Second))) }, "service account token is not valid yet"},
		"issued in the future":         {func() string { return s.Token("apps", "web", kubetest.Claim("iat", ago(-70*time.Second))) }, "service account token is issued in the future"},
		"a secret":                     {func() string { return s.Token("apps", "web", s.BoundToSecret("kept")) }, ""},
		"a node":                       {func() string { return s.Token("apps", "web", s.BoundToNode("kept")) }, ""},
		"a secret that is gone":        {func() string { defer s.DeleteSecret("apps", "s"); return s.Token("apps", "web", s.BoundToSecret("s")) }, "service account token has been invalidated"},
		"a node that is gone":          {func() string { defer s.DeleteNode("n"); return s.Token("apps", "web", s.BoundToNode("n")) }, "service account token has been invalidated"},
		"a pod whose node is gone": {func() string {
			s.AddPod("apps", "p", "n2")
			defer s.DeleteNode("n2")
			return s.Token("apps", "web", s.BoundToPod("p"))
		}, ""},
		"a pod in its grace period":      {terminated(s, "grace", 0), ""},
		"a pod whose grace period ended": {terminated(s, "over", -2*time.Minute), "service account token has been invalidated"},
		"the account before the pod":     {func() string { s.AddPod("apps", "q", ""); return s.Token("apps", "nobody", s.BoundToPod("q")) }, `serviceaccounts "nobody" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.Review(row.token(), nil)
			want := row.want
			if want != "" {
				want = "[invalid bearer token, " + want + "]"
			}
			if got.Authenticated != (want == "") || got.Error != want {
				t.Errorf("authenticated %t, error %q, want %q", got.Authenticated, got.Error, want)
			}
		})
	}
}

func terminated(s *kubetest.Server, pod string, grace time.Duration) func() string {
	return func() string {
		s.AddPod("apps", pod, "")
		token := s.Token("apps", "web", s.BoundToPod(pod))
		s.BeginDeletion(kubetest.Pods, "apps", pod, grace)
		return token
	}
}

func TestKeysRotate(t *testing.T) {
	s := kubetest.Unserved()
	s.AddServiceAccount("apps", "web")
	before := s.Token("apps", "web")
	s.RotateKey()
	after := s.Token("apps", "web")
	for _, token := range []string{before, after} {
		if got := s.Review(token, nil); !got.Authenticated {
			t.Errorf("right after the rotation: %s", got.Error)
		}
	}
	s.RetireKeys()
	if s.Review(before, nil).Authenticated || !s.Review(after, nil).Authenticated {
		t.Error("a key that was retired is accepted, or the new one is not")
	}
}
