package token

import (
	"time"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Kind is what a token says of the kind of token that it is. No TokenReview reports it, and
// the API server vouches for a token as a whole; so once that confirmed the token as a
// service account's, and the token says that it is that one's, this is true as well.
type Kind struct {
	namespace, name, uid string

	// Lifetime is from when it was issued to when it ends; 0 where it does not say, and where
	// that is no time.
	Lifetime time.Duration
	Endless  bool // it has no end
	Legacy   bool // it is one that lives in a secret
	PodBound bool
}

// UnverifiedKind is read when it is asked for: claims that are not of the form that
// Kubernetes gives them are no reason to refuse a token whose kind nobody asks for.
func (t *Unverified) UnverifiedKind() Kind {
	c := t.claims
	if c.Issuer == legacyIssuer || c.LegacySecretName != "" {
		return Kind{
			namespace: c.LegacyNamespace, name: c.LegacyName, uid: c.LegacyUID,
			Lifetime: t.unverifiedLifetime(), Endless: c.Expiry == nil, Legacy: true,
		}
	}
	type reference struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	}
	var own struct {
		Namespace      string    `json:"namespace"`
		ServiceAccount reference `json:"serviceaccount"`
		Pod            reference `json:"pod"`
	}
	if len(c.Kubernetes) > 0 && json.Unmarshal(c.Kubernetes, &own) != nil {
		own.Namespace = "" // of nobody
	}
	return Kind{
		namespace: own.Namespace, name: own.ServiceAccount.Name, uid: own.ServiceAccount.UID,
		Lifetime: t.unverifiedLifetime(), Endless: c.Expiry == nil, PodBound: own.Pod.UID != "",
	}
}

// IsOf tells whether the token says that it belongs to a service account. Without any of
// the three it belongs to nobody.
func (k Kind) IsOf(namespace, name, uid string) bool {
	return namespace != "" && name != "" && uid != "" && k.namespace == namespace && k.name == name && k.uid == uid
}

// IsOfAnother tells whether two tokens say that they belong to different service accounts. One
// that does not say it in full contradicts nobody.
func (k Kind) IsOfAnother(other Kind) bool {
	if k.namespace == "" || k.name == "" || k.uid == "" || other.namespace == "" || other.name == "" || other.uid == "" {
		return false
	}
	return !k.IsOf(other.namespace, other.name, other.uid)
}

func (t *Unverified) unverifiedLifetime() time.Duration {
	var issued *jwt.NumericDate
	if len(t.claims.IssuedAt) == 0 || json.Unmarshal(t.claims.IssuedAt, &issued) != nil || issued == nil || t.claims.Expiry == nil {
		return 0
	}
	return max(0, t.claims.Expiry.Time().Sub(issued.Time()))
}
