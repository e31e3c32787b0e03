package main

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

var forgeries = flag.Int("forgeries", 1000, "how many tokens that are no good each way to verify is sent")

// forgery is a kind of token that no way to verify may let in.
type forgery struct {
	name string
	make func() string
	// one is sent in so many rounds.
	every int
	// judged is whether the cluster's keys are enough to refuse it, under either way. What
	// is left is refused by keys too, and is a review with live.
	judged bool
}

// tampered is a token of the cluster with other claims under its signature.
func tampered(t *testing.T, genuine string, change func(claims map[string]any)) string {
	t.Helper()
	parts := strings.Split(genuine, ".")
	read := func(text string) (fields map[string]any) {
		content, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil {
			err = json.Unmarshal(content, &fields)
		}
		if err != nil {
			t.Fatal(err)
		}
		return fields
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	claims := read(parts[1])
	change(claims)
	return kubetest.Forge(read(parts[0]), claims, signature)
}

// kindsOf are what strangers, and those who found an old token, may send.
func kindsOf(t *testing.T, m *mount) []forgery {
	n := 0
	differs := func(d *kubetest.Draft) { n++; d.Claims["jti"] = fmt.Sprint("forged-", n) }
	made := func(changes ...kubetest.Change) func() string {
		return func() string { return m.boundToken(append(changes, differs)...) }
	}
	stranger := kubetest.NewECDSAKey()
	pretender := stranger
	pretender.ID = m.api.ECDSAKey().ID
	ofSecret := m.boundToken(m.api.BoundToSecret("gone"))
	legacy := m.api.LegacyToken("apps", "web", "gone too", kubetest.Audience("vault"))
	as := func(claims map[string]any, name string, value any) { claims[name] = value; claims["jti"] = rand.Int() }
	return []forgery{
		{"a stranger's, by the name of a known key", made(kubetest.SignedWith(pretender)), 1, true},
		{"a stranger's", made(kubetest.SignedWith(stranger)), 100, false},
		{"a stranger's without a name", made(kubetest.SignedWith(kubetest.Key{Algorithm: stranger.Algorithm, Private: stranger.Private})), 100, false},
		{"the public key as a shared secret", made(kubetest.SignedWith(kubetest.SharedSecret(m.api.ECDSAKey().PublicPEM()))), 1, true},
		{"unsigned", func() string {
			return kubetest.Forge(map[string]any{"alg": "none"}, map[string]any{"iss": m.api.Issuer, "jti": rand.Int()}, nil)
		}, 5, true},
		{"another account's claims", func() string {
			return tampered(t, m.boundToken(), func(c map[string]any) { as(c, "sub", "system:serviceaccount:kube-system:admin") })
		}, 1, true},
		{"a longer life", func() string {
			return tampered(t, m.boundToken(kubetest.Expiry(time.Now().Add(-time.Hour))), func(c map[string]any) { as(c, "exp", time.Now().Add(time.Hour).Unix()) })
		}, 1, true},
		{"another audience's claims", func() string {
			return tampered(t, m.boundToken(kubetest.Audience("other")), func(c map[string]any) { as(c, "aud", []string{"vault"}) })
		}, 1, true},
		{"replayed after its end", made(kubetest.Expiry(time.Now().Add(-2 * time.Minute))), 1, true},
		{"replayed to another audience", made(kubetest.Audience("other")), 1, true},
		{"of another issuer that has the key", made(kubetest.Claim("iss", "https://other.example")), 20, false},
		{"of a secret that is gone", func() string { return ofSecret }, 20, false},
		{"a token from a secret that is gone", func() string { return legacy }, 20, false},
	}
}

// ofTheDead is a token whose pod is gone. Keys alone would let it in until it expires.
func ofTheDead(m *mount) forgery {
	m.api.AddPod("apps", "web-2", "")
	jwt := m.boundToken(m.api.BoundToPod("web-2"))
	return forgery{"replayed after the end of its pod", func() string { return jwt }, 1, false}
}

// No token that is forged, or replayed where it is no good, gets in, and the API server is
// asked about none of those that the cluster's keys can judge.
func TestForgeriesGetNowhere(t *testing.T) {
	for _, way := range []string{"keys", "live"} {
		t.Run(way, func(t *testing.T) {
			m := newLocal(t, fields{"verification": way})
			kinds := kindsOf(t, m)
			if way == "live" {
				kinds = append(kinds, ofTheDead(m))
				m.follow(t)
				m.api.DeletePod("apps", "web-2")
			} else {
				c := &clock{at: time.Now()} // who names another key waits for a reading, one a second
				m.now, m.after = c.now, c.after
				m.write("config", m.config(fields{"verification": way, "cluster_name": "clocked"}))
				m.mustLogin(m.boundToken())
			}
			m.api.DeleteSecret("apps", "gone")
			m.api.DeleteSecret("apps", "gone too")
			if way == "live" {
				m.awaitRefused(t, kinds[len(kinds)-1].make())
			}
			m.api.Forget()
			stale := m.verifications("live", "stale")
			sent, doubtful := 0, 0
			for round := 0; sent < *forgeries; round++ {
				for _, kind := range kinds {
					if round%kind.every != 0 {
						continue
					}
					if sent++; !kind.judged {
						doubtful++
					}
					if got := m.login("demo", kind.make()); got.auth != nil {
						t.Fatalf("%s: it got in", kind.name)
					}
				}
			}
			reviews, allowed := m.api.Count(kubetest.TokenReviews), 0
			if way == "live" {
				// On a machine that is very busy what is known may be old for a moment.
				allowed = doubtful + m.verifications("live", "stale") - stale
			}
			t.Logf("%d tokens, of which keys can judge %d: %d reviews", sent, sent-doubtful, reviews)
			if reviews > allowed {
				t.Errorf("%d reviews, want %d at most", reviews, allowed)
			}
			m.mustLogin(m.boundToken())
		})
	}
}

// awaitRefused logs in until the watch told that what the token ends with is gone.
func (m *mount) awaitRefused(t *testing.T, jwt string) {
	t.Helper()
	for range 10_000 {
		if m.login("demo", jwt).auth == nil {
			return
		}
	}
	t.Fatal("the deletion was never seen")
}
