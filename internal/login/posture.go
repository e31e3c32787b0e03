package login

import (
	"context"
	"slices"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/posture"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/token"
)

// checkPosture asks for what the configuration and the role say of tokens.
func (d *decision) checkPosture(context.Context) error { return d.judge(d.Token) }

// checkConfirmed is the same for the token of a login, however that goes on.
func (a *attempt) checkConfirmed(ctx context.Context) error { return a.checkPosture(ctx) }

// assumedToken is one that is what each posture asks for, where there is none to look at.
var assumedToken = posture.Token{Told: true, Lifetime: posture.MinLifetime, PodBound: true}

// judge compares a token with what is asked for here. Both postures have to hold, so none of
// them can be used to widen the other.
func (d *decision) judge(t posture.Token) error {
	mismatch := d.Cluster.Config.JudgeToken("the configuration", t)
	for _, r := range d.roles() {
		if mismatch == nil {
			mismatch = r.JudgeToken("the role", t)
		}
	}
	if mismatch == nil {
		return nil
	}
	return refusal.NotBoundUnless(mismatch.Remedy, mismatch.Reason)
}

// asksOfTokens tells whether anything is asked for here.
func (d *decision) asksOfTokens() bool {
	return d.Cluster.Config.AsksOfTokens() || slices.ContainsFunc(d.roles(), func(r *role.Role) bool { return r.AsksOfTokens() })
}

// judgeUnverified goes by what the token says of itself. It may refuse, and saves asking the
// API server about tokens that are refused whatever that says.
func (a *attempt) judgeUnverified() error {
	if !a.asksOfTokens() {
		return nil // most mounts ask for nothing, and there is nothing to read then
	}
	k := a.unverified.UnverifiedKind()
	return a.judge(posture.Token{Told: true, Lifetime: k.Lifetime, Endless: k.Endless, Legacy: k.Legacy, PodBound: k.PodBound})
}

// confirmedToken is what a token that was confirmed says of itself, as far as it says it of
// the account that it was confirmed for. Whether it is bound to a pod the review tells.
func confirmedToken(id identity.Identity, k token.Kind) posture.Token {
	bound := id.Pod() != identity.Object{}
	if !k.IsOf(id.Namespace(), id.Name(), id.UID()) {
		return posture.Token{PodBound: bound}
	}
	return posture.Token{Told: true, Lifetime: k.Lifetime, Endless: k.Endless, Legacy: k.Legacy, PodBound: bound}
}
