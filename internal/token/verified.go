package token

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Doubt names why a signature alone does not settle whose a token is. The words are few
// and fixed: they label metrics.
type Doubt string

// The doubts about a token that a key of the cluster signed, or may have signed.
const (
	DoubtKey      Doubt = "unknown key"
	DoubtIssuer   Doubt = "issuer"
	DoubtLegacy   Doubt = "legacy token"
	DoubtAudience Doubt = "audience"
	DoubtBound    Doubt = "not bound to a pod"
	DoubtSecret   Doubt = "bound to a secret" //nolint:gosec // a word, not a credential
	DoubtClaims   Doubt = "unknown claim"
	DoubtLifetime Doubt = "lifetime"
	DoubtTime     Doubt = "time"
)

// Doubts are all that there are.
var Doubts = []Doubt{
	DoubtKey, DoubtIssuer, DoubtLegacy, DoubtAudience, DoubtBound, DoubtSecret, DoubtClaims, DoubtLifetime, DoubtTime,
}

// DoubtError says why Vouch does not. The text may quote the token's claims.
type DoubtError struct {
	Doubt  Doubt
	Reason string
}

func (e *DoubtError) Error() string { return e.Reason }

func doubt(d Doubt, format string, args ...any) error {
	return &DoubtError{d, fmt.Sprintf(format, args...)}
}

// Terms are what a token has to be like for a signature to settle whose it is. The zero
// value takes no token.
type Terms struct {
	// Issuer is the one that the token must have. Without one none will do, but for
	// AnyIssuer.
	Issuer    string
	AnyIssuer bool
	// Audiences are those of which the token must have one.
	Audiences []string
	// MaxLifetime bounds what lies between issue and expiry; 0 does not.
	MaxLifetime time.Duration
	// Unbound takes tokens that are bound to no pod, and so end with none.
	Unbound bool
	// UnknownClaims takes tokens with keys below kubernetes.io that are not known here.
	UnknownClaims bool
	// Now is the time. Left is how much has to be left until exp, and Early by how much
	// nbf and iat may be ahead, since clocks differ; a Left that is negative allows for
	// that, too.
	Now         time.Time
	Left, Early time.Duration
}

// Object names what a token belongs or is bound to.
type Object struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Verified are the claims of a token that one of a cluster's keys signed, and that meets
// terms. Keys.Vouch makes it and nothing else, so what takes one need not ask; the zero
// value is nobody's.
type Verified struct {
	namespace string
	account   Object
	pod, node Object
	audiences []string
	expiry    time.Time
	id        string
}

// Namespace is that of the service account, and of the pod.
func (v Verified) Namespace() string { return v.namespace }

// ServiceAccount is whom the token was issued to.
func (v Verified) ServiceAccount() Object { return v.account }

// Pod is the one that the token is bound to, or none.
func (v Verified) Pod() Object { return v.pod }

// Node is that of the pod, or none.
func (v Verified) Node() Object { return v.node }

// Audiences are those of the token that were asked for.
func (v Verified) Audiences() []string { return v.audiences }

// ID is the token's jti, or empty.
func (v Verified) ID() string { return v.id }

// Expiry is when the token ends.
func (v Verified) Expiry() time.Time { return v.expiry }

// vouched are the claims of a token of the kind that ends with its service account.
type vouched struct {
	Subject    string                     `json:"sub"`
	ID         string                     `json:"jti"`
	IssuedAt   *jwt.NumericDate           `json:"iat"`
	Kubernetes map[string]json.RawMessage `json:"kubernetes.io"`
}

// Vouch returns the claims of a token that one of the keys signed and that meets the
// terms. The error is ErrSignature where a key is known by the name that the token gives,
// or keys have no names, and it did not sign the token; else it is a *DoubtError.
func (k Keys) Vouch(t *Unverified, terms Terms) (Verified, error) {
	if !k.Knows(t) && len(k.byID) > 0 {
		return Verified{}, doubt(DoubtKey, "no key is known by the id that the token names")
	}
	if err := k.Verify(t); err != nil {
		return Verified{}, err
	}
	// From here on the claims are what the cluster signed.
	return t.claimsUnder(terms)
}

func (t *Unverified) claimsUnder(terms Terms) (Verified, error) {
	c := t.claims
	var signed vouched
	if err := t.payload(&signed); err != nil {
		return Verified{}, doubt(DoubtClaims, "the claims are not those of a service account token")
	}
	switch {
	case c.Issuer == legacyIssuer || c.LegacyName != "" || c.LegacySecretName != "":
		return Verified{}, doubt(DoubtLegacy, "the token is one from a secret, which does not expire and ends with the secret")
	case !terms.AnyIssuer && (terms.Issuer == "" || c.Issuer != terms.Issuer):
		return Verified{}, doubt(DoubtIssuer, "the token's issuer is %q, and has to be %q", c.Issuer, terms.Issuer)
	}
	if err := t.timeUnder(terms, signed.IssuedAt); err != nil {
		return Verified{}, err
	}
	v := Verified{expiry: c.Expiry.Time(), id: signed.ID}
	for _, audience := range c.Audience {
		if slices.Contains(terms.Audiences, audience) {
			v.audiences = append(v.audiences, audience)
		}
	}
	if len(v.audiences) == 0 {
		return Verified{}, doubt(DoubtAudience, "the token's audiences are %q, and one has to be of %q", []string(c.Audience), terms.Audiences)
	}
	if err := v.bind(signed.Kubernetes, terms); err != nil {
		return Verified{}, err
	}
	if want := "system:serviceaccount:" + v.namespace + ":" + v.account.Name; signed.Subject != want {
		return Verified{}, doubt(DoubtClaims, "the token's subject is %q, and its service account %q", signed.Subject, want)
	}
	return v, nil
}

func (t *Unverified) payload(into any) error {
	_, rest, _ := strings.Cut(t.raw, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (t *Unverified) timeUnder(terms Terms, issued *jwt.NumericDate) error {
	expiry, begin := t.claims.Expiry, t.claims.NotBefore
	switch {
	case expiry == nil || issued == nil:
		return doubt(DoubtLifetime, "the token does not say how long it is valid")
	case terms.MaxLifetime > 0 && expiry.Time().Sub(issued.Time()) > terms.MaxLifetime:
		return doubt(DoubtLifetime, "the token is valid for %s, more than %s", expiry.Time().Sub(issued.Time()), terms.MaxLifetime)
	case !terms.Now.Add(terms.Left).Before(expiry.Time()):
		return doubt(DoubtTime, "the token expires at %s", stamp(expiry))
	case begin != nil && terms.Now.Add(terms.Early).Before(begin.Time()):
		return doubt(DoubtTime, "the token is valid from %s on", stamp(begin))
	case terms.Now.Add(terms.Early).Before(issued.Time()):
		return doubt(DoubtTime, "the token was issued at %s", stamp(issued))
	}
	return nil
}

func stamp(at *jwt.NumericDate) string { return at.Time().UTC().Format(time.RFC3339) }

// bind reads whose the token is and what it ends with.
func (v *Verified) bind(claims map[string]json.RawMessage, terms Terms) error {
	var secret Object
	known := map[string]any{
		"namespace": &v.namespace, "serviceaccount": &v.account,
		"pod": &v.pod, "node": &v.node, "secret": &secret,
		"warnafter": new(jwt.NumericDate),
	}
	for key, value := range claims {
		into, ok := known[key]
		switch {
		case !ok && !terms.UnknownClaims:
			return doubt(DoubtClaims, "the token has the claim %q below kubernetes.io, which is not known", key)
		case !ok:
			continue
		}
		if err := json.Unmarshal(value, into); err != nil {
			return doubt(DoubtClaims, "the claim %q below kubernetes.io cannot be read", key)
		}
	}
	_, hasSecret := claims["secret"]
	switch {
	case v.namespace == "" || v.account.Name == "" || v.account.UID == "":
		return doubt(DoubtClaims, "the token does not say in full whose it is")
	case hasSecret:
		return doubt(DoubtSecret, "the token ends with a secret")
	case v.pod.Name != "" && v.pod.UID != "":
		return nil
	case v.pod != Object{}:
		return doubt(DoubtClaims, "the token does not say in full which pod it is bound to")
	case !terms.Unbound:
		return doubt(DoubtBound, "the token is bound to no pod")
	}
	if _, hasNode := claims["node"]; hasNode {
		return doubt(DoubtBound, "the token ends with a node")
	}
	return nil
}
