package cluster

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
	"vault-plugin-auth-kubernetes/internal/token"
)

// errNoOwn is about a configuration whose reviewer has no token.
func errNoOwn(account string) error {
	return refusal.Misconfigured("there is no token of the reviewer "+account,
		"write the configuration with a first one as token_reviewer_jwt", nil)
}

// readOwn sees to it that the credential is the one that is stored, no older than a minute.
func (c *Current) readOwn(ctx context.Context, s logical.Storage, made *Cluster) error {
	want := made.Config.WantedReviewer()
	if want.Account == "" {
		return nil
	}
	own, err := c.tokens.Get(ctx, s, reviewertoken.Path)
	if err != nil {
		return err
	}
	c.own.Store(own)
	if !own.Serves(want) && want.First == "" {
		return errNoOwn(want.Account)
	}
	return nil
}

func (c *Current) loadOwn(ctx context.Context, s logical.Storage, _ string, _ *reviewertoken.Entry) (*reviewertoken.Entry, error) {
	return reviewertoken.Read(ctx, s)
}

// DoubtOwn makes whoever comes from now on read the reviewer's token that is stored.
func (c *Current) DoubtOwn() { c.tokens.Drop(reviewertoken.Path) }

// Own is what is known of the reviewer's token that the mount made; nil if nothing is.
func (c *Current) Own() *reviewertoken.Entry { return c.own.Load() }

// CredentialEnds is when the reviewer's credential ends, if there is one whose end is known to
// a cluster that logins used. life is how long it was good when it was made; 0 if that is not
// known.
func (c *Current) CredentialEnds() (at time.Time, life time.Duration, known bool) {
	made := c.made.Load()
	if made == nil {
		return time.Time{}, 0, false
	}
	if own := c.own.Load(); own.Serves(made.Config.WantedReviewer()) && made.Config.MakesReviewerTokens() {
		return own.Ends(), own.Life, true
	}
	if pair, err := made.Config.ClientCertificate(); err == nil && pair != nil {
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			return time.Time{}, 0, false
		}
		return leaf.NotAfter, leaf.NotAfter.Sub(leaf.NotBefore), true
	}
	t, err := token.Parse(c.Credential(made.Config)())
	if err != nil {
		return time.Time{}, 0, false
	}
	at, known = t.UnverifiedExpiry()
	return at, t.UnverifiedKind().Lifetime, known
}
