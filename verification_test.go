package main

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// clock is a time that tests move by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// after is the time from now, which it then is.
func (c *clock) after(d time.Duration) <-chan time.Time {
	c.advance(d)
	return time.After(0)
}

// newClockedDemo is newDemo with a clock that stands still, but where somebody waits.
func newClockedDemo(t *testing.T, config fields) (*mount, *clock) {
	t.Helper()
	m := newDemo(t, config, nil)
	c := &clock{at: time.Now()}
	m.now, m.after = c.now, c.after
	return m, c
}

// With the cluster's keys a forgery costs no review.
func TestKeysThenReview(t *testing.T) {
	m, clock := newClockedDemo(t, fields{"verification": "keys_then_review"})
	for range 3 {
		m.mustLogin(m.token())
	}
	if keys, reviews := m.api.Count(kubetest.SigningKeys), m.api.Count(kubetest.TokenReviews); keys != 1 || reviews != 3 {
		t.Errorf("%d readings of the keys and %d reviews for three logins", keys, reviews)
	}
	m.api.Forget()
	stranger := kubetest.NewECDSAKey()
	claimsToBeKnown := stranger
	claimsToBeKnown.ID = m.api.ECDSAKey().ID
	for name, key := range map[string]kubetest.Key{
		"unknown key":              stranger,
		"another key by that name": claimsToBeKnown,
		"key without a name":       {Algorithm: stranger.Algorithm, Private: stranger.Private},
	} {
		wantRefused(t, m.login("demo", m.token(kubetest.SignedWith(key))), http.StatusForbidden)
		if got := m.api.Count(kubetest.TokenReviews); got != 0 {
			t.Errorf("%s: %d reviews of a forgery", name, got)
		}
	}
	// Two of them name a key that might be new, so the keys are read, once a second.
	if got := len(m.api.Requests()); got != 2 {
		t.Errorf("%d requests for three forgeries, want 2", got)
	}
	m.api.Forget()
	before := clock.now()
	for range 10 {
		wantRefused(t, m.login("demo", m.token(kubetest.SignedWith(stranger))), http.StatusForbidden)
	}
	if got, took := len(m.api.Requests()), clock.now().Sub(before); got > 1+int(took/cluster.KeysAtMostEvery) {
		t.Errorf("%d requests within %s", got, took)
	}
}

// tokenFor is a token that is good for an hour from what the clock says.
func (m *mount) tokenFor(c *clock, options ...kubetest.Change) string {
	return m.api.Token("apps", "web", append(options, kubetest.Audience("vault"), kubetest.Expiry(c.now().Add(time.Hour)))...)
}

func TestClusterKeysFollowRotation(t *testing.T) {
	m, clock := newClockedDemo(t, fields{"verification": "keys_then_review"})
	m.mustLogin(m.token())
	// Read a moment ago: the login waits for its turn to read them again.
	m.mustLogin(m.token(kubetest.SignedWith(m.api.RSAKey())))
	if got := m.api.Count(kubetest.SigningKeys); got != 2 {
		t.Errorf("the keys were read %d times, want twice", got)
	}
	// Keys are read again from time to time, for one may have been withdrawn.
	clock.advance(cluster.KeysAtLeastEvery)
	m.mustLogin(m.tokenFor(clock))
	for deadline := time.Now().Add(10 * time.Second); m.api.Count(kubetest.SigningKeys) != 3; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the keys were read %d times, want once more", m.api.Count(kubetest.SigningKeys))
		}
	}
}

// While the keys cannot be read, a token that names another one may be good, whatever
// strangers send meanwhile: that is no denial, and an operator hears of it.
func TestClusterKeysRotateDuringAnOutage(t *testing.T) {
	m, clock := newClockedDemo(t, fields{"verification": "keys_then_review"})
	m.mustLogin(m.token())
	m.api.Fail(kubetest.Status(http.StatusInternalServerError), kubetest.SigningKeys)
	m.logs.Take()
	stranger := kubetest.NewECDSAKey()
	for range 5 {
		wantRefused(t, m.login("demo", m.tokenFor(clock, kubetest.SignedWith(stranger))), http.StatusServiceUnavailable)
		wantRefused(t, m.login("demo", m.tokenFor(clock, kubetest.SignedWith(m.api.RSAKey()))), http.StatusServiceUnavailable)
	}
	warned := false
	for _, line := range m.logs.Take() {
		warned = warned || line.Level == hclog.Warn && line.Fields["step"] == "signature"
	}
	if !warned {
		t.Error("nobody was warned")
	}
	m.mustLogin(m.tokenFor(clock)) // a key that is known
	m.api.Heal()
	m.mustLogin(m.tokenFor(clock, kubetest.SignedWith(m.api.RSAKey())))
}

// Nobody whose key is known waits for a reading, however long it takes.
func TestClusterKeysThatAreOldAndHang(t *testing.T) {
	m, clock := newClockedDemo(t, fields{"verification": "keys_then_review"})
	m.mustLogin(m.token())
	entered := make(chan struct{}, 100)
	m.api.Fail(func(w http.ResponseWriter, r *http.Request) { entered <- struct{}{}; kubetest.Hang()(w, r) }, kubetest.SigningKeys)
	clock.advance(cluster.KeysAtLeastEvery)
	for range 20 {
		m.mustLogin(m.tokenFor(clock))
	}
	<-entered // they are being read, and the first who waits for that is whoever needs it
}

func TestClusterKeysThatCannotBeRead(t *testing.T) {
	m, clock := newClockedDemo(t, fields{"verification": "keys_then_review"})
	m.api.Fail(kubetest.Status(http.StatusInternalServerError), kubetest.SigningKeys)
	wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	if got := m.api.Count(kubetest.TokenReviews); got != 0 {
		t.Errorf("%d reviews of tokens whose signature could not be checked", got)
	}
	m.api.Heal()
	m.mustLogin(m.token())
	// Once there are keys, an outage of the endpoint makes none of them wrong.
	m.api.Fail(kubetest.Status(http.StatusInternalServerError), kubetest.SigningKeys)
	clock.advance(cluster.KeysAtLeastEvery)
	m.mustLogin(m.tokenFor(clock))

	m, _ = newClockedDemo(t, fields{"verification": "keys_then_review"})
	m.api.Fail(kubetest.Text(http.StatusOK, "application/json", `{"keys":[]}`), kubetest.SigningKeys)
	wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
}

func TestReviewCache(t *testing.T) {
	m, clock := newClockedDemo(t, fields{"token_review_cache_ttl": 30})
	jwt := m.token()
	reviews := func(want int, why string) {
		t.Helper()
		if got := m.api.Count(kubetest.TokenReviews); got != want {
			t.Errorf("%s: %d reviews, want %d", why, got, want)
		}
		m.api.Forget()
	}
	m.mustLogin(jwt)
	m.mustLogin(jwt)
	reviews(1, "the same token twice")
	m.mustLogin(m.token())
	reviews(1, "another token")
	m.write("role/any", m.role(fields{"audience": nil}))
	m.write("role/two", m.role(fields{"audience": nil, "bound_audiences": "vault,other"}))
	m.login("two", jwt)
	reviews(1, "other audiences")
	clock.advance(30 * time.Second)
	m.mustLogin(jwt)
	reviews(1, "after the TTL")
	m.write("config", m.config(fields{"token_review_cache_ttl": 30}))
	m.mustLogin(jwt)
	reviews(0, "after a write that changes nothing")
	m.write("config", m.config(fields{"token_review_cache_ttl": 30, "cluster_name": "east"}))
	m.mustLogin(jwt)
	reviews(1, "after a change of configuration")

	// What is remembered is who it is, not what it may: bounds count as they are.
	m.write("role/demo", fields{"bound_service_account_names": "db"})
	wantRefused(t, m.login("demo", jwt), http.StatusForbidden)
	m.write("role/demo", fields{"bound_service_account_names": "web"})
	m.api.Forget()

	m.api.DeleteServiceAccount("apps", "web")
	m.mustLogin(jwt)
	reviews(0, "deleted within the TTL, as documented")
	clock.advance(30 * time.Second)
	for range 3 {
		wantRefused(t, m.login("demo", jwt), http.StatusForbidden)
	}
	reviews(3, "a refusal is not remembered")
}

func TestReviewCacheEndsWithTheToken(t *testing.T) {
	m, clock := newClockedDemo(t, fields{"token_review_cache_ttl": 60})
	jwt := m.token(kubetest.Expiry(clock.now().Add(20 * time.Second)))
	m.mustLogin(jwt)
	clock.advance(21 * time.Second)
	m.api.Forget()
	m.login("demo", jwt)
	if got := m.api.Count(kubetest.TokenReviews); got != 1 {
		t.Errorf("%d reviews past the token's expiry, want one", got)
	}
}

// Logins with one token at the same time share a review.
func TestReviewCacheSharesReviews(t *testing.T) {
	m, _ := newClockedDemo(t, fields{"token_review_cache_ttl": 30})
	jwt := m.token()
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if got := m.login("demo", jwt); got.auth == nil {
				t.Errorf("%d %s", got.status, got.message)
			}
		})
	}
	wait.Wait()
	if got := m.api.Count(kubetest.TokenReviews); got != 1 {
		t.Errorf("%d reviews for 50 logins at once", got)
	}
}

// Several requests that are slow one after the other do not add up.
func TestDeadlineIsOfTheWholeLogin(t *testing.T) {
	m := newDemo(t, fields{"request_timeout": 1}, fields{"selector": `namespace.labels.team == "ci"`})
	m.api.FailTimes(1, kubetest.Hang(), kubetest.TokenReviews)
	m.api.Fail(kubetest.Hang(), kubetest.Namespaces)
	wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	if reviews, namespaces := m.api.Count(kubetest.TokenReviews), m.api.Count(kubetest.Namespaces); reviews != 2 || namespaces != 1 {
		t.Errorf("%d reviews and then %d attempts at the namespace, want 2 and 1", reviews, namespaces)
	}
}

// The API server's certificate is renewed under the same CA, and the CA itself is
// replaced, without a restart of anything here.
func TestCertificatesRotate(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token())
	m.api.RotateCertificate()
	m.mustLogin(m.token())
	m.api.RotateCA()
	wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	m.write("config", m.config(nil))
	m.mustLogin(m.token())
}
