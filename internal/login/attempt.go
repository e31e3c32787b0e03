package login

import (
	"context"
	"fmt"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/keys"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// attempt is one to log in with a token. The fields fill as the steps pass.
type attempt struct {
	decision
	jwt        string
	anew       bool
	unverified *token.Unverified
	// identity is whom the review named; nobody before.
	identity identity.Identity
}

// logIn goes through all steps. However many requests the steps make, together they
// take no longer than two attempts at one.
func (a *attempt) logIn(ctx context.Context) error {
	begin, decide := beginSteps, boundSteps
	if a.ByRules {
		begin, decide = ruleBeginSteps, grantSteps
	}
	if err := run(ctx, &a.decision, a.observer, begin); err != nil {
		return err
	}
	if a.ByRules && len(a.Through) == 0 {
		decide = decide[1:] // there is no role to go through
	}
	ctx, cancel := a.Cluster.Deadline(ctx)
	defer cancel()
	if err := run(ctx, a, a.observer, identifySteps); err != nil {
		return err
	}
	if err := run(ctx, &a.decision, a.observer, decide); err != nil {
		return err
	}
	return run(ctx, &a.decision, a.observer, aliasSteps)
}

func (a *attempt) parseToken(context.Context) error {
	unverified, err := a.mount.Parse(a.jwt)
	if err != nil {
		return refusal.DenyFor(err)
	}
	a.unverified = unverified
	return nil
}

// checkClaims refuses a token by what it says of itself. It never allows.
func (a *attempt) checkClaims(context.Context) error {
	if err := a.unverified.CheckTime(a.mount.Now()); err != nil {
		return refusal.DenyFor(err)
	}
	if len(a.Cluster.Issuers) > 0 {
		if err := a.unverified.CheckIssuer(a.Cluster.Issuers...); err != nil {
			return refusal.DenyFor(err)
		}
	}
	if want := a.Cluster.Config.BindingRuleAudiences; a.ByRules && len(want) > 0 && a.unverified.CheckAudience(want...) != nil {
		return refusal.Deny(fmt.Sprintf("the token's audiences are %q, and binding_rule_audiences asks for one of %q", a.unverified.UnverifiedAudiences(), want))
	}
	for _, r := range a.roles() {
		if want := r.Audiences(); len(want) > 0 {
			if err := a.unverified.CheckAudience(want...); err != nil {
				return refusal.DenyFor(err)
			}
		}
	}
	return a.judgeUnverified()
}

func (a *attempt) checkSignature(ctx context.Context) error {
	if keys := a.Cluster.Keys; !keys.Empty() {
		if err := keys.Verify(a.unverified); err != nil {
			return refusal.DenyFor(err)
		}
	}
	if a.Cluster.Signing == nil {
		return nil // the API server checks it
	}
	return a.Cluster.Signing.Verify(ctx, a.unverified)
}

func (a *attempt) review(ctx context.Context) error {
	audiences, whichever, err := a.audiencesAskedFor()
	if err != nil {
		return err
	}
	if whichever {
		audiences = a.unverified.UnverifiedAudiences()
	}
	reviewer := a.Cluster.Reviewer
	switch {
	case whichever:
		// Nobody says whom the token has to be for, so nothing but the API server will do.
		if reviewer = a.Cluster.Asking; a.anew && !a.Cluster.Config.VerifiesLocally() {
			reviewer = a.Cluster.Anew
		}
	case a.anew:
		reviewer = a.Cluster.Anew
	}
	id, err := reviewer.Review(ctx, a.unverified, audiences)
	if err != nil {
		return err
	}
	a.identity = id
	a.identify(id, a.unverified.Raw())
	a.Token = confirmedToken(id, a.unverified.UnverifiedKind())
	a.SecretName = a.unverified.LegacySecretName(id.Namespace(), id.Name(), id.UID())
	return nil
}

// audiencesAskedFor are those of which a token must have one; with none, the API server's
// own, unless a token for any audience will do. A role without an audience takes a token
// for any, so the review is then for the token's own: left to itself the API server would
// insist on its own audience and refuse tokens meant for Vault. Not so by rules, where no
// role says whom it is for: a token that was made for somebody else would be good for
// whatever rules grant.
func (d *decision) audiencesAskedFor() (want []string, whichever bool, err error) {
	if d.ByRules {
		return d.RuleAudiences(), false, nil
	}
	if want := d.Role.Audiences(); len(want) > 0 {
		return want, false, nil
	}
	if d.Cluster.Config.RequireAudience {
		return nil, false, &refusal.Refusal{
			Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration,
			Reason: "the configuration has require_audience set, and the role has no audience",
			Remedy: "give the role an audience",
		}
	}
	if d.Cluster.NeedsAudience {
		return nil, false, &refusal.Refusal{
			Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration,
			Reason: "verification=keys takes no role without an audience",
			Remedy: "give the role an audience, or, where any audience is to do, set verification_accept=" + keys.AcceptNoAudience,
		}
	}
	return nil, true, nil
}

// RuleAudiences are those of which a token must have one to log in by rules: the
// mount's, else those of the roles that the login goes through, each of which then asks
// for one of its own. With none, the review names no audience, and the API server asks
// for its own.
func (o *Finding) RuleAudiences() []string {
	if want := o.Cluster.Config.BindingRuleAudiences; len(want) > 0 {
		return want
	}
	var want []string
	for _, r := range o.Through {
		want = append(want, r.Audiences()...)
	}
	return want
}
