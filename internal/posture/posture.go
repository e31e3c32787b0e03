// Package posture says what a token has to be like, whoever it belongs to: how long it lives,
// whether it is bound to a pod, and whether it is one of those that live in secrets. It
// compares what it is handed, and knows neither tokens nor roles.
package posture

import (
	"fmt"
	"time"

	"vault-plugin-auth-kubernetes/internal/numbers"
)

// MinLifetime is the shortest life that an API server gives a token; a bound below it
// would let nobody in. Source: ValidateTokenRequest in kubernetes/pkg/apis/authentication.
const MinLifetime = 10 * time.Minute

// MaxLifetime bounds what may be asked for; more is as good as nothing.
const MaxLifetime = 10 * 365 * 24 * time.Hour

// Posture is what is asked for. The zero value asks for nothing, as Vault's own method does.
// The names are those of the fields of a configuration and of a role.
type Posture struct {
	MaxTokenLifetime      time.Duration `json:"max_token_lifetime,omitempty"` // nanoseconds; 0 is any
	RequirePodBoundTokens bool          `json:"require_pod_bound_tokens,omitempty"`
	RefuseLegacyTokens    bool          `json:"refuse_legacy_tokens,omitempty"`
}

// Token is what is known of a token.
type Token struct {
	// Told is whether the rest is what the token says of the account that it belongs to.
	Told bool `json:"told,omitempty"`
	// Lifetime is from when it was issued to when it ends; 0 where it does not say.
	Lifetime time.Duration `json:"lifetime,omitempty"` // nanoseconds
	Endless  bool          `json:"endless,omitempty"`
	Legacy   bool          `json:"legacy,omitempty"` // of a secret
	PodBound bool          `json:"pod_bound,omitempty"`
}

// Mismatch is why a token is not what was asked for. Its texts are for operators.
type Mismatch struct{ Reason, Remedy string }

// Validate refuses what no token could have, or nobody could mean.
func (p Posture) Validate() error {
	if p.MaxTokenLifetime != 0 && (p.MaxTokenLifetime < MinLifetime || p.MaxTokenLifetime > MaxLifetime) {
		return fmt.Errorf("max_token_lifetime: it must be between %s, which is the shortest that Kubernetes issues, and %s, or 0 for any", MinLifetime, MaxLifetime)
	}
	return nil
}

// RefuseWritten refuses a max_token_lifetime that the framework would make another of: 500ms
// would be any lifetime at all. data is what was sent.
func RefuseWritten(data map[string]any) error {
	const field = "max_token_lifetime"
	if value, ok := numbers.Text(data, field); ok && !numbers.IsWholeSeconds(value) {
		return fmt.Errorf("%s: %s cannot be kept; give whole seconds, such as 1h, or 0 for any lifetime", field, numbers.Shown(value))
	}
	return nil
}

// AsksOfTokens tells whether anything is asked for.
func (p Posture) AsksOfTokens() bool { return p != Posture{} }

// JudgeToken compares a token with what the owner of the posture, such as "the role", asks for;
// nil if it is that. What a token does not tell counts against it.
func (p Posture) JudgeToken(owner string, t Token) *Mismatch {
	switch {
	case (p.RefuseLegacyTokens || p.MaxTokenLifetime > 0) && !t.Told:
		return &Mismatch{
			Reason: fmt.Sprintf("%s asks what kind of token it is, and the token does not tell it of the account that the API server names", owner),
			Remedy: "use a token that Kubernetes issued for the service account: kubectl create token NAME -n NAMESPACE",
		}
	case p.RefuseLegacyTokens && t.Legacy:
		return &Mismatch{
			Reason: fmt.Sprintf("the token is one that lives in a secret, and %s has refuse_legacy_tokens set", owner),
			Remedy: "use a token of a projected volume, or of kubectl create token",
		}
	case p.MaxTokenLifetime > 0:
		if m := p.judgeLifetime(owner, t); m != nil {
			return m
		}
	}
	if p.RequirePodBoundTokens && !t.PodBound {
		return &Mismatch{
			Reason: fmt.Sprintf("the token is not bound to a pod, and %s has require_pod_bound_tokens set", owner),
			Remedy: "use the token of a pod's projected volume; by hand: kubectl create token NAME -n NAMESPACE --bound-object-kind=Pod --bound-object-name=POD",
		}
	}
	return nil
}

func (p Posture) judgeLifetime(owner string, t Token) *Mismatch {
	lives := ""
	switch {
	case t.Endless:
		lives = "does not end"
	case t.Lifetime <= 0:
		lives = "does not say for how long it was issued"
	case t.Lifetime > p.MaxTokenLifetime:
		lives = fmt.Sprintf("was issued for %s", t.Lifetime)
	default:
		return nil
	}
	return &Mismatch{
		Reason: fmt.Sprintf("the token %s, and max_token_lifetime of %s is %s", lives, owner, p.MaxTokenLifetime),
		// What each pod has by default is extended to a year by the API server, unless told otherwise.
		Remedy: fmt.Sprintf("use a token of a projected volume with an audience of its own and expirationSeconds of %d or less; "+
			"the one that each pod has by default may live for a year; by hand: kubectl create token NAME -n NAMESPACE --duration=%ds",
			int64(p.MaxTokenLifetime/time.Second), int64(p.MaxTokenLifetime/time.Second)),
	}
}
