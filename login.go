package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/token"
)

// loginStep is one part of a login. It returns a refusal to end the login.
type loginStep struct {
	name refusal.Step
	run  func(*login, context.Context) error
}

// beginSteps come before anything is asked of the cluster of the mount, whose
// configuration says how long the rest may take.
var beginSteps = []loginStep{
	{refusal.StepAddress, (*login).checkAddress},
	{refusal.StepConfiguration, (*login).findConnection},
}

// ruleBeginSteps are those of a login without a role: it is the configuration that
// names the role whose addresses count.
var ruleBeginSteps = []loginStep{beginSteps[1], beginSteps[0]}

// identifySteps find out whose the token is. What stands before the review may
// only refuse.
var identifySteps = []loginStep{
	{refusal.StepTokenForm, (*login).parseToken},
	{refusal.StepClaims, (*login).checkClaims},
	{refusal.StepSignature, (*login).checkSignature},
	{refusal.StepReview, (*login).review},
}

// boundSteps ask whether a role is meant for whoever that is. They work on the
// answer of the review alone.
var boundSteps = []loginStep{
	{refusal.StepAudience, (*login).checkAudience},
	{refusal.StepName, (*login).checkName},
	{refusal.StepNamespace, (*login).checkNamespace},
	{refusal.StepSelector, (*login).checkSelector},
}

// roleSteps are the further steps of a login under a role, in their order.
var roleSteps = slices.Concat(
	identifySteps,
	boundSteps,
	[]loginStep{{refusal.StepAlias, (*login).nameAlias}},
)

// ruleSteps are the further steps of a login without a role, in their order.
var ruleSteps = slices.Concat(
	identifySteps,
	[]loginStep{
		{refusal.StepRuleRole, (*login).checkRuleRole},
		{refusal.StepRules, (*login).applyRules},
		{refusal.StepAlias, (*login).nameAlias},
	},
)

// login is one attempt to log in with a token: under a role, or by the binding
// rules. The fields fill as the steps pass.
type login struct {
	b       *backend
	storage logical.Storage
	// byRules is whether no role was named.
	byRules bool
	// role is the one that was named. By rules it is the mount's binding_rule_role,
	// and nil if the mount has none.
	role   *role.Role
	jwt    string
	remote *logical.Connection
	// roleOfRule tells that the role is one that a binding rule binds.
	roleOfRule bool

	cluster    *cluster.Cluster
	unverified *token.Unverified
	identity   identity.Identity // set by the review and by nothing else
	objects    *cluster.Objects
	attributes *binding.Attributes

	aliasName   string
	annotations aliasAnnotations // metadata that annotations add to the alias
	granted     *granted         // by binding rules; nil under a role

	// explained is told how each step ends; nil unless the login is one that is
	// only to be explained.
	explained *explanation
}

// run goes through steps until one refuses, and returns the first refusal. Where a
// login is explained, steps that do not depend on the one that refused are still
// judged.
func (l *login) run(ctx context.Context, steps []loginStep) error {
	var refused error
	for _, s := range steps {
		err := s.run(l, ctx)
		if err != nil && refused == nil {
			refused = &refusal.StepError{Step: s.name, Err: err}
		}
		goOn := refused == nil
		if l.explained != nil {
			goOn = l.explained.ended(s.name, err)
		}
		if !goOn {
			break
		}
	}
	return refused
}

// logIn goes through all steps. However many requests the steps make, together they
// take no longer than two attempts at one.
func (l *login) logIn(ctx context.Context) error {
	begin, further := beginSteps, roleSteps
	if l.byRules {
		begin, further = ruleBeginSteps, ruleSteps
	}
	if err := l.run(ctx, begin); err != nil {
		return err
	}
	ctx, cancel := l.cluster.Deadline(ctx)
	defer cancel()
	return l.run(ctx, further)
}

func (l *login) findConnection(ctx context.Context) error {
	c, err := l.b.cluster.Get(ctx, l.storage)
	if err != nil {
		return err
	}
	if c == nil {
		return refusal.ErrNoConfiguration
	}
	l.cluster = c
	if l.byRules {
		l.role, err = l.b.ruleRole(ctx, l.storage, c.Config)
	}
	return err
}

func (l *login) parseToken(context.Context) error {
	unverified, err := l.b.tokens.Parse(l.jwt)
	if err != nil {
		return refusal.DenyFor(err)
	}
	l.unverified = unverified
	return nil
}

// checkClaims refuses a token by what it says of itself. It never allows.
func (l *login) checkClaims(context.Context) error {
	if err := l.unverified.CheckTime(l.b.now()); err != nil {
		return refusal.DenyFor(err)
	}
	if l.cluster.Issuer != "" {
		if err := l.unverified.CheckIssuer(l.cluster.Issuer); err != nil {
			return refusal.DenyFor(err)
		}
	}
	if want := l.cluster.Config.BindingRuleAudiences; l.byRules && len(want) > 0 && l.unverified.CheckAudience(want...) != nil {
		return refusal.Deny(fmt.Sprintf("the token's audiences are %q, and binding_rule_audiences asks for one of %q", l.unverified.UnverifiedAudiences(), want))
	}
	if l.role == nil {
		return nil
	}
	if want := l.role.Audiences(); len(want) > 0 {
		if err := l.unverified.CheckAudience(want...); err != nil {
			return refusal.DenyFor(err)
		}
	}
	return nil
}

func (l *login) checkSignature(ctx context.Context) error {
	if keys := l.cluster.Keys; !keys.Empty() {
		if err := keys.Verify(l.unverified); err != nil {
			return refusal.DenyFor(err)
		}
	}
	if l.cluster.Signing == nil {
		return nil // the API server checks it
	}
	return l.cluster.Signing.Verify(ctx, l.unverified)
}

func (l *login) review(ctx context.Context) error {
	audiences, err := l.audiences()
	if err != nil {
		return err
	}
	reviewer := l.cluster.Reviewer
	if l.explained != nil {
		reviewer = l.cluster.Anew // what is true now, not a moment ago
	}
	id, err := reviewer.Review(ctx, l.unverified, audiences)
	if err != nil {
		return err
	}
	l.identify(id)
	return nil
}

// identify is where an attempt gets its identity. All that later steps may look at
// begins here.
func (l *login) identify(id identity.Identity) {
	l.identity = id
	loginToken := "" // there is none on renewal
	if l.unverified != nil {
		loginToken = l.unverified.Raw()
	}
	l.objects = l.cluster.Objects(id, loginToken)
	l.attributes = binding.NewAttributes(id, binding.Context{
		ClusterName:     l.cluster.Config.ClusterName,
		ConsulNamespace: l.cluster.Config.ConsulNamespace(id.Namespace()),
	})
}

// fetch is how selectors and binding rules get at what the review does not tell.
func (l *login) fetch(ctx context.Context, source binding.Source) error {
	switch source {
	case binding.ServiceAccount:
		account, err := l.objects.ServiceAccount(ctx)
		if err != nil {
			return err
		}
		l.attributes.SetServiceAccount(account.Labels, account.Annotations)
	case binding.Namespace:
		namespace, err := l.objects.Namespace(ctx)
		if err != nil {
			return err
		}
		l.attributes.SetNamespace(namespace.Labels)
	}
	return nil
}
