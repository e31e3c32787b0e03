package login

import (
	"context"
	"fmt"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/keys"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/secondtoken"
	"vault-plugin-auth-kubernetes/internal/token"
)

// attempt is one to log in with a token. The fields fill as the steps pass.
type attempt struct {
	decision
	jwt        string
	anew       bool
	unverified *token.Unverified
	// reviewerJWT is the second token that was sent, and second the same where it has a say.
	reviewerJWT string
	second      *token.Unverified
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
	begun := *a
	return patiently(ctx, a.Cluster, func() error {
		*a = begun
		if err := run(ctx, a, a.observer, identifySteps); err != nil {
			return err
		}
		if err := run(ctx, &a.decision, a.observer, decide); err != nil {
			return err
		}
		return run(ctx, &a.decision, a.observer, aliasSteps)
	})
}

// patiently asks a cluster of which it may be known that it does not answer. Who is refused
// for that alone may be held back, and then asks anew from the beginning.
func patiently(ctx context.Context, c *cluster.Cluster, ask func() error) error {
	err := ask()
	if err == nil {
		return nil
	}
	return c.Client.HoldBack(ctx, err, ask)
}

func (a *attempt) parseToken(context.Context) error {
	unverified, err := a.mount.Parse(a.jwt)
	if err != nil {
		return refusal.DenyFor(err)
	}
	a.unverified = unverified
	return a.parseSecond()
}

// parseSecond reads the second token, where it has a say. Where it has none it is not even
// looked at: Vault's own method knows no such field.
func (a *attempt) parseSecond() error {
	if a.reviewerJWT == "" {
		return nil
	}
	if !a.Cluster.TakesSecond() {
		a.SecondUnused = true
		return nil
	}
	second, err := a.mount.Parse(a.reviewerJWT)
	if err != nil {
		return denySecond(fmt.Errorf("%s: %w", secondtoken.Field, err))
	}
	a.second = second
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
	if a.second != nil {
		if err := secondtoken.CheckUnverified(a.unverified, a.second, a.mount.Now(), a.Cluster.Issuers); err != nil {
			return denySecond(err)
		}
	}
	return a.judgeUnverified()
}

func denySecond(err error) error {
	return &refusal.Refusal{Kind: refusal.Denied, Class: refusal.ClassDenied, Err: err, Remedy: secondtoken.Remedy}
}

// tokens are those that were sent and have a say.
func (a *attempt) tokens() []*token.Unverified {
	if a.second == nil {
		return []*token.Unverified{a.unverified}
	}
	return []*token.Unverified{a.unverified, a.second}
}

// asker is the token that is a credential where there is no reviewer.
func (a *attempt) asker() *token.Unverified { return a.tokens()[len(a.tokens())-1] }

func (a *attempt) checkSignature(ctx context.Context) error {
	for _, t := range a.tokens() {
		if keys := a.Cluster.Keys; !keys.Empty() {
			if err := keys.Verify(t); err != nil {
				return refusal.DenyFor(err)
			}
		}
		if a.Cluster.Signing == nil {
			continue // the API server checks it
		}
		if err := a.Cluster.Signing.Verify(ctx, t, a.asker()); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) review(ctx context.Context) error {
	audiences, whichever, err := a.audiencesAskedFor()
	if err != nil {
		return err
	}
	if whichever {
		audiences = a.unverified.UnverifiedAudiences()
	}
	by := a.Cluster.Reviewers
	if a.second != nil {
		by = a.Cluster.By(a.second)
	}
	reviewer := by.Reviewer
	switch {
	case whichever:
		// Nobody says whom the token has to be for, so nothing but the API server will do.
		if reviewer = by.Asking; a.anew && !a.Cluster.Config.VerifiesLocally() {
			reviewer = by.Anew
		}
	case a.anew:
		reviewer = by.Anew
	}
	id, err := reviewer.Review(ctx, a.unverified, audiences)
	if err != nil {
		return err
	}
	a.identity = id
	a.identify(id, a.unverified.Raw())
	if a.second != nil && id.By() == identity.ByReview {
		a.objects.AskBy(a.second) // it is of the same pod, as the review found
	}
	if a.ByRules || a.asksOfTokens() { // rules may bind a role that asks, and so may renewals
		a.Token = confirmedToken(id, a.unverified.UnverifiedKind())
	}
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
		want := d.RuleAudiences()
		if len(want) == 0 && d.Cluster.Config.Verification == config.VerifyKeys {
			return nil, false, &refusal.Refusal{
				Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration,
				Reason: "binding_rule_audiences is empty, so tokens have to be for the API server's own audience, which verification=keys does not know",
				Remedy: "set binding_rule_audiences",
			}
		}
		return want, false, nil
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
	if d.Cluster.Config.NeedsAudience() {
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
