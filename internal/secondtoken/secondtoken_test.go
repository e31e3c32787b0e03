package secondtoken_test

import (
	"errors"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/secondtoken"
	"vault-plugin-auth-kubernetes/internal/token"
)

// cluster has the pods web-1 and web-2 of the account web, and db of the same namespace.
func cluster() *kubetest.Server {
	s := kubetest.Unserved()
	s.AddServiceAccount("apps", "web")
	s.AddServiceAccount("apps", "db")
	s.AddServiceAccount("shop", "web")
	s.AddPod("apps", "web-1", "node-1")
	s.AddPod("apps", "web-2", "node-1")
	return s
}

func parsed(t *testing.T, raw string) *token.Unverified {
	t.Helper()
	unverified, err := token.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return unverified
}

// confirmed is what a review says of a token.
func confirmed(t *testing.T, s *kubetest.Server, raw string) identity.Identity {
	t.Helper()
	status := s.Review(raw, nil)
	id, err := identity.FromReview(&status, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestJudge(t *testing.T) {
	s := cluster()
	own := kubetest.Audience(s.Issuer)
	of := func(namespace, name, pod string) identity.Identity {
		changes := []kubetest.Change{own}
		if pod != "" {
			changes = append(changes, s.BoundToPod(pod))
		}
		return confirmed(t, s, s.Token(namespace, name, changes...))
	}
	before := of("apps", "db", "")
	s.DeleteServiceAccount("apps", "db")
	s.AddServiceAccount("apps", "db")
	for name, row := range map[string]struct {
		first, second identity.Identity
		ok            bool
	}{
		"the same pod":                          {of("apps", "web", "web-1"), of("apps", "web", "web-1"), true},
		"another pod":                           {of("apps", "web", "web-1"), of("apps", "web", "web-2"), false},
		"of no pod, for a pod's":                {of("apps", "web", "web-1"), of("apps", "web", ""), false},
		"a pod's, for one of none":              {of("apps", "web", ""), of("apps", "web", "web-2"), true},
		"neither of a pod":                      {of("apps", "web", ""), of("apps", "web", ""), true},
		"another account":                       {of("apps", "web", ""), of("apps", "db", ""), false},
		"another namespace":                     {of("apps", "web", ""), of("shop", "web", ""), false},
		"the account of the name, created anew": {before, of("apps", "db", ""), false},
		"nobody and nobody":                     {identity.Identity{}, identity.Identity{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := secondtoken.Judge(row.first, row.second)
			if (err == nil) != row.ok || err != nil && !errors.Is(err, secondtoken.ErrOthers) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCheckUnverified(t *testing.T) {
	s := cluster()
	now := time.Now()
	first := s.Token("apps", "web", kubetest.Audience("vault"), s.BoundToPod("web-1"))
	second := func(changes ...kubetest.Change) string {
		return s.Token("apps", "web", append([]kubetest.Change{kubetest.Audience(s.Issuer), s.BoundToPod("web-1")}, changes...)...)
	}
	for name, row := range map[string]struct {
		second  string
		issuers []string
		ok      bool
	}{
		"as it should be":            {second(), []string{s.Issuer}, true},
		"any issuer will do":         {second(kubetest.Claim("iss", "https://elsewhere")), nil, true},
		"of another issuer":          {second(kubetest.Claim("iss", "https://elsewhere")), []string{s.Issuer}, false},
		"the same":                   {first, nil, false},
		"expired":                    {second(kubetest.Expiry(now.Add(-time.Hour))), nil, false},
		"not valid yet":              {second(kubetest.Claim("nbf", now.Add(time.Hour).Unix())), nil, false},
		"of another account":         {s.Token("apps", "db", kubetest.Audience(s.Issuer)), nil, false},
		"of another namespace":       {s.Token("shop", "web", kubetest.Audience(s.Issuer)), nil, false},
		"that does not say whose":    {second(kubetest.WithoutClaim("kubernetes.io")), nil, true}, // the API server will
		"of another pod, as it says": {s.Token("apps", "web", kubetest.Audience(s.Issuer), s.BoundToPod("web-2")), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := secondtoken.CheckUnverified(parsed(t, first), parsed(t, row.second), now, row.issuers); (err == nil) != row.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
