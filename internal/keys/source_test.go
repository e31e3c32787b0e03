package keys

import (
	"context"
	"errors"
	"testing"
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
