package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// leeway is how far the clocks of the cluster and of Vault may be apart; it is that of
// kube-apiserver.
const leeway = time.Minute

// DefaultMaxLifetime is an hour, which is what most projected tokens are issued for, and
// some slack.
const DefaultMaxLifetime = time.Hour + 5*time.Minute

// What can be accepted that is refused by default, as verification_accept names it.
const (
	AcceptAnyIssuer     = "any_issuer"
	AcceptNoAudience    = "no_audience"
	AcceptNotPodBound   = "not_pod_bound"
	AcceptLongLived     = "long_lived"
	AcceptUnknownClaims = "unknown_claims"
)

// Accepts are all of them. That a token from a secret is accepted cannot be had: it never
// expires, and so would be good for ever after its secret was deleted.
var Accepts = []string{AcceptAnyIssuer, AcceptNoAudience, AcceptNotPodBound, AcceptLongLived, AcceptUnknownClaims}

// Guards are what a token has to be like beside being signed.
type Guards struct {
	// MaxLifetime is the longest that a token may be valid.
	MaxLifetime time.Duration
	// Accepted are the guards that are switched off.
	Accepted []string
}

func (g Guards) accepts(what string) bool { return slices.Contains(g.Accepted, what) }

func (g Guards) terms(issuer string, audiences []string, now time.Time) token.Terms {
	terms := token.Terms{
		Issuer:        issuer,
		AnyIssuer:     g.accepts(AcceptAnyIssuer),
		Audiences:     audiences,
		MaxLifetime:   g.MaxLifetime,
		Unbound:       g.accepts(AcceptNotPodBound),
		UnknownClaims: g.accepts(AcceptUnknownClaims),
		Now:           now,
		Left:          -leeway,
		Early:         leeway,
	}
	if g.accepts(AcceptLongLived) {
		terms.MaxLifetime = 0
	}
	return terms
}

// Keyring is the keys of a cluster as they rotate.
type Keyring interface {
	// For returns keys to judge a token by: if they do not know its key, they were read
	// after the token came. The error is a refusal that could not ask.
	For(ctx context.Context, t *token.Unverified) (token.Keys, error)
}

// Fixed are keys that do not rotate.
type Fixed token.Keys

// For returns all of them.
func (f Fixed) For(context.Context, *token.Unverified) (token.Keys, error) { return token.Keys(f), nil }

// Reviewer verifies tokens by the keys of a cluster and asks nobody. Its errors are
// refusals.
type Reviewer struct {
	Keys   Keyring
	Issuer func(context.Context) string
	Guards Guards
	Clock  clock.Clock
	// Counted is told how each review ended: "confirmed", or the doubt or other word
	// for why not.
	Counted func(result string)
}

// Results that are no doubts.
const (
	Confirmed      = "confirmed"
	WrongSignature = "wrong signature"
	KeysUnknown    = "keys unknown"
)

// Review verifies a token for the audiences, one of which it must have.
func (r *Reviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	known, err := r.Keys.For(ctx, t)
	if err != nil {
		r.Counted(KeysUnknown)
		return identity.Identity{}, err
	}
	issuer := ""
	if !r.Guards.accepts(AcceptAnyIssuer) {
		if issuer = r.Issuer(ctx); issuer == "" {
			r.Counted(string(token.DoubtIssuer))
			return identity.Identity{}, refusal.Misconfigured("the cluster does not tell its issuer, which tokens must have",
				"set issuer to that of the cluster: kubectl get --raw /.well-known/openid-configuration", errNoIssuer)
		}
	}
	verified, err := known.Vouch(t, r.Guards.terms(issuer, audiences, r.Clock().Wall))
	var doubted *token.DoubtError
	switch {
	case errors.As(err, &doubted) && doubted.Doubt == token.DoubtKey:
		r.Counted(string(token.DoubtKey))
		return identity.Identity{}, refusal.DenyFor(token.ErrSignature)
	case errors.As(err, &doubted):
		r.Counted(string(doubted.Doubt))
		return identity.Identity{}, denied(doubted)
	case err != nil:
		r.Counted(WrongSignature)
		return identity.Identity{}, refusal.DenyFor(err)
	}
	id, err := identity.FromVerified(verified, identity.ByKeys)
	if err != nil {
		r.Counted(string(token.DoubtClaims))
		return identity.Identity{}, refusal.DenyFor(err)
	}
	r.Counted(Confirmed)
	return id, nil
}

var errNoIssuer = errors.New("no issuer is known")

// remedies are for doubts that an operator, or whoever writes a pod, can mend. They are
// shown by explain; a stranger's token must not make lines in the log.
var remedies = map[token.Doubt]string{
	token.DoubtIssuer:   "set issuer to that of the cluster: kubectl get --raw /.well-known/openid-configuration",
	token.DoubtBound:    "project the token into the pod with serviceAccountToken, or accept others: verification_accept=" + AcceptNotPodBound,
	token.DoubtLifetime: "project the token with expirationSeconds of an hour, or set max_token_lifetime",
	token.DoubtClaims:   "use verification=live or review for such tokens, or verification_accept=" + AcceptUnknownClaims,
	token.DoubtLegacy:   "project a token in place of the one from a secret, or use verification=live or review",
	token.DoubtSecret:   "project a token that ends with the pod, or use verification=live or review",
}

func denied(d *token.DoubtError) error {
	return &refusal.Refusal{
		Kind: refusal.Denied, Class: refusal.ClassDenied, Remedy: remedies[d.Doubt],
		Err: fmt.Errorf("by keys alone the token is not accepted: %w", d),
	}
}
