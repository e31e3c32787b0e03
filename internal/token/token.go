// Package token reads service account tokens without believing them. What it
// returns is called unverified because it is: it may serve to refuse a token
// early and for nothing else. The package does no I/O and knows nothing of Vault.
package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// MaxBytes bounds a token. Projected tokens are 1 to 2 KiB; the names in them
// are at most 253 bytes each, so only an absurd list of audiences comes near.
const MaxBytes = 16 << 10

// maxHeaderBytes bounds the encoded header, which in a service account token
// holds the algorithm and a key id.
const maxHeaderBytes = 1 << 10

// Leeway is how far the clocks of the cluster and of Vault may be apart before a
// token counts as expired, or not yet valid, without asking the API server. It is
// what Vault's own method allows (150 s for either claim and 60 s of skew); the
// API server, with its own clock, decides exactly.
const Leeway = 210 * time.Second

// legacyIssuer is the issuer of the secret-based tokens of Kubernetes before 1.24.
const legacyIssuer = "kubernetes/serviceaccount"

// ErrMalformed is wrapped by every error of Parse.
var ErrMalformed = errors.New("malformed token")

// algorithms are the ones that Kubernetes can sign with. No symmetric one is
// among them, so a public key can never be used as a shared secret.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.PS256, jose.PS384, jose.PS512,
}

// Unverified is a parsed token whose claims nobody vouched for. It is not safe for
// concurrent use.
type Unverified struct {
	raw    string
	keyID  string
	claims claims
	signed *jose.JSONWebSignature // nil before it is needed; see signature
}

// claims are the ones that are looked at, of both kinds of token.
type claims struct {
	Issuer    string           `json:"iss"`
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`

	// What kind of token it is; read where that is asked for.
	IssuedAt   json.RawMessage `json:"iat"`
	Kubernetes json.RawMessage `json:"kubernetes.io"`

	LegacyNamespace  string `json:"kubernetes.io/serviceaccount/namespace"`
	LegacyName       string `json:"kubernetes.io/serviceaccount/service-account.name"`
	LegacyUID        string `json:"kubernetes.io/serviceaccount/service-account.uid"`
	LegacySecretName string `json:"kubernetes.io/serviceaccount/secret.name"`
}

// Parse reads a JWT in compact form. Space around it is ignored, since tokens
// come out of files. Every error wraps ErrMalformed and holds no part of the
// token.
func Parse(raw string) (*Unverified, error) { return new(Parser).Parse(raw) }

// Parse is the function of that name, with what the parser remembers.
func (p *Parser) Parse(raw string) (*Unverified, error) {
	raw = strings.TrimSpace(raw)
	if err := checkShape(raw); err != nil {
		return nil, err
	}
	t := &Unverified{raw: raw}
	payload, err := p.open(t)
	if err != nil {
		return nil, fmt.Errorf("%w: not a JWT signed with a supported algorithm", ErrMalformed)
	}
	if err := json.Unmarshal(payload, &t.claims); err != nil {
		return nil, fmt.Errorf("%w: the claims are not those of a service account token", ErrMalformed)
	}
	return t, nil
}

// checkShape bounds what the JOSE library gets to see.
func checkShape(raw string) error {
	if len(raw) > MaxBytes {
		return fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxBytes)
	}
	if around := whatIsAround(raw); around != "" {
		return fmt.Errorf("%w: %s", ErrMalformed, around)
	}
	if strings.Count(raw, ".") != 2 {
		return fmt.Errorf("%w: not three segments", ErrMalformed)
	}
	if slices.Contains(strings.Split(raw, "."), "") {
		return fmt.Errorf("%w: an empty segment", ErrMalformed) // the JOSE library takes a signature of no bytes
	}
	if strings.IndexByte(raw, '.') > maxHeaderBytes {
		return fmt.Errorf("%w: the header is longer than %d bytes", ErrMalformed, maxHeaderBytes)
	}
	for i := range len(raw) {
		if !inCompactForm[raw[i]] {
			return fmt.Errorf("%w: a character that no JWT holds", ErrMalformed)
		}
	}
	return nil
}

// whatIsAround tells of a text that is plainly a token with something around it what that
// is; it is told, and not taken away: a client that sends it sends it to others as well.
func whatIsAround(raw string) string {
	switch {
	case len(raw) > 6 && strings.EqualFold(raw[:6], "bearer") && raw[6] == ' ':
		return "it begins with Bearer, which is for headers alone"
	case raw != "" && strings.ContainsRune("\"'`", rune(raw[0])):
		return "it has quotes around it"
	case strings.HasPrefix(raw, "ZXlK"):
		return "it is the base64 of a token, as the data of a secret has it"
	case strings.HasPrefix(raw, "{"):
		return "it is JSON, and not the token in it"
	}
	return ""
}

// inCompactForm are the bytes that a JWT in compact form is made of: those of base64 in
// its form for URLs, and the dots between the segments.
var inCompactForm = func() (in [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") {
		in[c] = true
	}
	return in
}()

// Raw is the token as it was sent, without space around it.
func (t *Unverified) Raw() string { return t.raw }

// NamesKey tells whether the token says by an id which key signed it.
func (t *Unverified) NamesKey() bool { return t.keyID != "" }

// UnverifiedAudiences is the aud claim; nil for tokens without one. Not to be
// modified by the caller.
func (t *Unverified) UnverifiedAudiences() []string { return t.claims.Audience }

// UnverifiedExpiry is the exp claim, if there is one.
func (t *Unverified) UnverifiedExpiry() (time.Time, bool) {
	if t.claims.Expiry == nil {
		return time.Time{}, false
	}
	return t.claims.Expiry.Time(), true
}

// UnverifiedIssuer is the iss claim.
func (t *Unverified) UnverifiedIssuer() string { return t.claims.Issuer }

// CheckTime refuses a token that is expired, or not valid yet, by more than
// Leeway. Claims that are missing do not count.
func (t *Unverified) CheckTime(now time.Time) error {
	if t.claims.Expiry != nil && now.After(t.claims.Expiry.Time().Add(Leeway)) {
		return fmt.Errorf("the token expired at %s", t.claims.Expiry.Time().UTC().Format(time.RFC3339))
	}
	if t.claims.NotBefore != nil && now.Before(t.claims.NotBefore.Time().Add(-Leeway)) {
		return fmt.Errorf("the token is not valid before %s", t.claims.NotBefore.Time().UTC().Format(time.RFC3339))
	}
	return nil
}

// IssuerError is how a token is refused whose issuer is none of the wanted ones.
type IssuerError struct {
	Unverified string
	Want       []string
}

func (e *IssuerError) Error() string {
	if len(e.Want) == 1 {
		return fmt.Sprintf("the token's issuer is %q, the configuration asks for %q", e.Unverified, e.Want[0])
	}
	return fmt.Sprintf("the token's issuer is %q, the configuration asks for one of %q", e.Unverified, e.Want)
}

// CheckIssuer refuses a token whose issuer is none of those, with an *IssuerError.
func (t *Unverified) CheckIssuer(want ...string) error {
	if !slices.Contains(want, t.claims.Issuer) {
		return &IssuerError{Unverified: t.claims.Issuer, Want: want}
	}
	return nil
}

// CheckAudience refuses a token that is meant for none of the audiences.
func (t *Unverified) CheckAudience(want ...string) error {
	if !slices.ContainsFunc(want, func(w string) bool { return slices.Contains(t.claims.Audience, w) }) {
		return fmt.Errorf("the token's audiences are %q, the role asks for one of %q", []string(t.claims.Audience), want)
	}
	return nil
}

// LegacySecretName is the name of the secret that holds a token of the old,
// secret-based kind, and "" for other tokens. It is the one claim that no
// TokenReview reports. Asking for it is allowed only after the API server
// confirmed this very token as the given service account's: by then the claim was
// checked as well, since the API server looks the secret up and compares it. A
// token that says it belongs to somebody else gets "".
func (t *Unverified) LegacySecretName(reviewedNamespace, reviewedName, reviewedUID string) string {
	c := t.claims
	if c.Issuer != legacyIssuer ||
		c.LegacyNamespace != reviewedNamespace || c.LegacyName != reviewedName || c.LegacyUID != reviewedUID {
		return ""
	}
	return c.LegacySecretName
}
