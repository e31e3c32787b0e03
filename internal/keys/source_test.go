package keys

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/kube"
)

// telling is a cluster that tells its issuer, or does not.
type telling struct {
	issuer string
	err    error
	asked  int
}

func (c *telling) SigningKeys(context.Context, string) ([]byte, error) { return []byte("keys"), nil }

func (c *telling) Issuer(context.Context) (string, error) { c.asked++; return c.issuer, c.err }

// The issuer is asked for now and then, kept through an outage, and followed as it changes.
func TestOwnIssuer(t *testing.T) {
	now := clock.Moment{Wall: time.Unix(1e9, 0)}
	pass := func(d time.Duration) { now = clock.Moment{Wall: now.Wall.Add(d), Running: now.Running + d} }
	c := &telling{err: errors.New("away")}
	own := &Own{Cluster: c, Clock: func() clock.Moment { return now }}
	want := func(when, issuer string, asked int) {
		t.Helper()
		if got := own.Issuer(t.Context()); got != issuer || c.asked != asked {
			t.Errorf("%s: %q after %d questions, want %q after %d", when, got, c.asked, issuer, asked)
		}
	}
	want("nobody answers", "", 1)
	want("at once again, which a stranger can bring about", "", 1)
	pass(unknownEvery + time.Second)
	c.issuer, c.err = "https://one", nil
	want("it answers", "https://one", 2)
	pass(issuerEvery - time.Second)
	want("for minutes", "https://one", 2)
	pass(2 * time.Second)
	c.err = errors.New("away")
	want("an outage makes no issuer wrong", "https://one", 3)
	pass(issuerEvery + time.Second)
	c.issuer, c.err = "https://two", nil
	want("another one", "https://two", 4)

	own = &Own{Cluster: c, Clock: func() clock.Moment { return now }, Fixed: "https://set"}
	want("as it was configured", "https://set", 4)
}

// slow is a cluster that answers when it is told to.
type slow struct {
	telling
	answer chan struct{}
}

func (c *slow) Issuer(ctx context.Context) (string, error) {
	c.asked++ // nobody else asks meanwhile
	select {
	case <-c.answer:
		return c.issuer, c.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// After a restart many log in at once, before anybody knows the issuer. One asks, and none
// is told meanwhile that there is no issuer.
func TestOwnIssuerForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slow{telling{issuer: "https://one"}, make(chan struct{})}
		own := &Own{Cluster: c, Clock: clock.Of(time.Now)}
		hangUp, cancel := context.WithCancel(t.Context())
		defer cancel()
		told := make(chan string, 64)
		ask := func(ctx context.Context) { told <- own.Issuer(ctx) }
		go ask(hangUp)
		synctest.Wait()
		for range cap(told) - 1 {
			go ask(t.Context())
		}
		synctest.Wait()
		if c.asked != 1 || len(told) != 0 {
			t.Fatalf("%d ask, %d do not wait for the answer", c.asked, len(told))
		}
		// The one who asks hangs up, which takes the answer away from nobody else.
		cancel()
		if synctest.Wait(); c.asked != 2 || len(told) != 1 || <-told != "" {
			t.Fatalf("%d asked once the first hung up", c.asked)
		}
		close(c.answer)
		synctest.Wait()
		if c.asked != 2 || len(told) != cap(told)-1 {
			t.Fatalf("%d asked, %d of %d know", c.asked, len(told), cap(told)-1)
		}
		for range len(told) {
			if got := <-told; got != "https://one" {
				t.Errorf("told %q", got)
			}
		}
	})
}

// While one asks anew, which may take long, the others go by what is known.
func TestOwnIssuerThatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slow{telling{issuer: "https://one"}, make(chan struct{}, 1)}
		own := &Own{Cluster: c, Clock: clock.Of(time.Now)}
		c.answer <- struct{}{}
		if got := own.Issuer(t.Context()); got != "https://one" {
			t.Fatalf("%q", got)
		}
		time.Sleep(issuerEvery + time.Second)
		go own.Issuer(t.Context())
		synctest.Wait()
		if got := own.Issuer(t.Context()); got != "https://one" || c.asked != 2 {
			t.Errorf("%q, asked %d times", got, c.asked)
		}
		c.answer <- struct{}{}
	})
}

// published are documents by their addresses.
type published map[string]string

func (p published) Get(_ context.Context, address string) ([]byte, error) {
	if document, ok := p[address]; ok {
		return []byte(document), nil
	}
	return nil, &kube.Error{Failure: kube.NotFound, Err: errors.New("not found")}
}

func TestElsewhere(t *testing.T) {
	const issuer, discovery = "https://issuer.example", "https://issuer.example/.well-known/openid-configuration"
	for name, row := range map[string]struct {
		source    Elsewhere
		documents published
		failure   kube.Failure // "" if the keys are found
	}{
		"by their address": {Elsewhere{Address: "https://keys.example", Of: issuer}, published{"https://keys.example": "keys"}, ""},
		"by discovery":     {Elsewhere{Of: issuer}, published{discovery: `{"issuer":"https://issuer.example","jwks_uri":"https://keys.example"}`, "https://keys.example": "keys"}, ""},
		"by discovery, of an issuer with a slash": {Elsewhere{Of: issuer + "/"},
			published{discovery: `{"issuer":"https://issuer.example/","jwks_uri":"https://keys.example"}`, "https://keys.example": "keys"}, ""},
		"of another issuer":     {Elsewhere{Of: issuer}, published{discovery: `{"issuer":"https://other.example","jwks_uri":"https://keys.example"}`, "https://keys.example": "keys"}, kube.Malformed},
		"without an address":    {Elsewhere{Of: issuer}, published{discovery: `{"issuer":"https://issuer.example"}`}, kube.Malformed},
		"no document":           {Elsewhere{Of: issuer}, published{discovery: `<html>`}, kube.Malformed},
		"nothing is published":  {Elsewhere{Of: issuer}, published{}, kube.NotFound},
		"no keys at an address": {Elsewhere{Address: "https://keys.example", Of: issuer}, published{}, kube.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			row.source.Documents = row.documents
			got, err := row.source.KeySet(t.Context(), "a login's token, which is for nobody there")
			var failed *kube.Error
			switch {
			case row.failure == "" && (err != nil || string(got) != "keys"):
				t.Errorf("%q, %v", got, err)
			case row.failure != "" && (!errors.As(err, &failed) || failed.Failure != row.failure):
				t.Errorf("%q, %v, want %s", got, err, row.failure)
			}
			if row.source.Issuer(t.Context()) != row.source.Of {
				t.Error("the issuer is another")
			}
		})
	}
}
