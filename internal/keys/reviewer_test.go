package keys

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// newReviewer judges the tokens of a cluster that has a service account and a pod. counted
// is how it judged them.
func newReviewer(t *testing.T, guards Guards) (server *kubetest.Server, r *Reviewer, counted *[]string) {
	t.Helper()
	server = kubetest.Unserved()
	server.AddServiceAccount("apps", "web")
	server.AddPod("apps", "web-1", "node-1")
	known, err := token.ParseKeySet(server.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	counted = &[]string{}
	return server, &Reviewer{
		Keys: Fixed(known), Issuer: func(context.Context) string { return server.Issuer }, Guards: guards,
		Clock: clock.Of(time.Now), Counted: func(result string) { *counted = append(*counted, result) },
	}, counted
}

// review judges a token that is as it should be but for the changes.
func review(t *testing.T, server *kubetest.Server, r *Reviewer, changes ...kubetest.Change) (identity.Identity, error) {
	t.Helper()
	changes = append([]kubetest.Change{kubetest.Audience("vault"), server.BoundToPod("web-1")}, changes...)
	unverified, err := token.Parse(server.Token("apps", "web", changes...))
	if err != nil {
		t.Fatal(err)
	}
	return r.Review(t.Context(), unverified, []string{"vault"})
}

func wantRefusal(t *testing.T, err error, kind refusal.Kind) (remedy string) {
	t.Helper()
	var refused *refusal.Refusal
	if !errors.As(err, &refused) || refused.Kind != kind {
		t.Errorf("%v, want a refusal of kind %s", err, kind)
		return ""
	}
	return refused.Remedy
}

func TestReviewTellsWhoItIs(t *testing.T) {
	server, r, counted := newReviewer(t, Guards{MaxLifetime: DefaultMaxLifetime})
	id, err := review(t, server, r)
	if err != nil {
		t.Fatal(err)
	}
	if id.Namespace() != "apps" || id.Name() != "web" || id.Pod().Name != "web-1" || id.By() != identity.ByKeys || !slices.Equal(*counted, []string{Confirmed}) {
		t.Errorf("%s in %s, pod %v, by %s, counted %q", id.Name(), id.Namespace(), id.Pod(), id.By(), *counted)
	}
}

// Each row is a token that differs from a good one in one thing.
func TestReviewRefuses(t *testing.T) {
	stranger := kubetest.NewECDSAKey()
	for name, row := range map[string]struct {
		change  func(*kubetest.Server) kubetest.Change
		counted string
		accept  string // what would have it taken; "" if nothing does
	}{
		"imposter, by the name of a known key": {func(s *kubetest.Server) kubetest.Change {
			pretender := stranger
			pretender.ID = s.ECDSAKey().ID
			return kubetest.SignedWith(pretender)
		}, WrongSignature, ""},
		"wrong signer":   {func(*kubetest.Server) kubetest.Change { return kubetest.SignedWith(stranger) }, string(token.DoubtKey), ""},
		"wrong audience": {func(*kubetest.Server) kubetest.Change { return kubetest.Audience("other") }, string(token.DoubtAudience), ""},
		"wrong issuer":   {func(*kubetest.Server) kubetest.Change { return kubetest.Claim("iss", "https://other") }, string(token.DoubtIssuer), AcceptAnyIssuer},
		"issuer of which the right one is a part": {func(s *kubetest.Server) kubetest.Change {
			return kubetest.Claim("iss", s.Issuer+".example.com")
		}, string(token.DoubtIssuer), AcceptAnyIssuer},
		"expired, and the clocks differ by less": {func(*kubetest.Server) kubetest.Change {
			return kubetest.Expiry(time.Now().Add(-leeway - 2*time.Second))
		}, string(token.DoubtTime), ""},
		"not valid yet": {func(*kubetest.Server) kubetest.Change {
			return kubetest.Claim("nbf", time.Now().Add(leeway+2*time.Second).Unix())
		}, string(token.DoubtTime), ""},
		"for too long":  {func(*kubetest.Server) kubetest.Change { return kubetest.Lifetime(DefaultMaxLifetime + time.Minute) }, string(token.DoubtLifetime), AcceptLongLived},
		"of a secret":   {func(s *kubetest.Server) kubetest.Change { return s.BoundToSecret("s") }, string(token.DoubtSecret), ""},
		"unknown claim": {func(*kubetest.Server) kubetest.Change { return unknownClaim }, string(token.DoubtClaims), AcceptUnknownClaims},
		"of no pod":     {func(*kubetest.Server) kubetest.Change { return notOfAPod }, string(token.DoubtBound), AcceptNotPodBound},
	} {
		t.Run(name, func(t *testing.T) {
			for _, accept := range append([]string{""}, Accepts...) {
				server, r, counted := newReviewer(t, Guards{MaxLifetime: DefaultMaxLifetime, Accepted: []string{accept}})
				_, err := review(t, server, r, row.change(server))
				if accept != "" && accept == row.accept {
					if err != nil {
						t.Errorf("although %s is accepted: %v", accept, err)
					}
					continue
				}
				wantRefusal(t, err, refusal.Denied)
				if !slices.Equal(*counted, []string{row.counted}) {
					t.Errorf("counted %q, want %q", *counted, row.counted)
				}
			}
		})
	}
}

func unknownClaim(d *kubetest.Draft) { d.Claims["kubernetes.io"].(map[string]any)["podgroup"] = "x" }

// notOfAPod has no node either, which a token names beside its pod.
func notOfAPod(d *kubetest.Draft) {
	of := d.Claims["kubernetes.io"].(map[string]any)
	delete(of, "pod")
	delete(of, "node")
}

// Tokens from secrets do not expire, and there is no name to accept them by.
func TestReviewRefusesLegacyTokens(t *testing.T) {
	server, r, counted := newReviewer(t, Guards{Accepted: Accepts})
	unverified, err := token.Parse(server.LegacyToken("apps", "web", "legacy", kubetest.Audience("vault")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Review(t.Context(), unverified, []string{"vault"})
	if wantRefusal(t, err, refusal.Denied) == "" {
		t.Errorf("nobody is told what to do: %v, counted %q", err, *counted)
	}
}

// An issuer that nobody knows is for the operator to set, and no denial of anybody's token
// to go unseen.
func TestReviewWithoutAnIssuer(t *testing.T) {
	server, r, counted := newReviewer(t, Guards{MaxLifetime: DefaultMaxLifetime})
	r.Issuer = func(context.Context) string { return "" }
	_, err := review(t, server, r)
	var refused *refusal.Refusal
	if !errors.As(err, &refused) || !refused.Operator || !strings.Contains(refused.Remedy, "issuer") || (*counted)[0] != string(token.DoubtIssuer) {
		t.Errorf("%v, counted %q", err, *counted)
	}
	r.Guards.Accepted = []string{AcceptAnyIssuer}
	if _, err := review(t, server, r); err != nil {
		t.Errorf("any issuer will do: %v", err)
	}
}

type noKeys struct{}

func (noKeys) For(context.Context, *token.Unverified) (token.Keys, error) {
	return token.Keys{}, &refusal.Refusal{Kind: refusal.CouldNotAsk}
}

// Keys that could not be read are an outage.
func TestReviewWithoutKeys(t *testing.T) {
	server, r, counted := newReviewer(t, Guards{MaxLifetime: DefaultMaxLifetime})
	r.Keys = noKeys{}
	_, err := review(t, server, r)
	wantRefusal(t, err, refusal.CouldNotAsk)
	if !slices.Equal(*counted, []string{KeysUnknown}) {
		t.Errorf("counted %q", *counted)
	}
}
