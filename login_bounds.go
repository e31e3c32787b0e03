package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/helper/cidrutil"

	"vault-plugin-auth-kubernetes/internal/refusal"
)

// checkAddress has nothing to check where there is no role; those that binding rules
// bind are checked then.
func (l *login) checkAddress(context.Context) error {
	if l.role == nil || len(l.role.TokenBoundCIDRs) == 0 {
		return nil
	}
	if l.explained != nil && l.remote == nil {
		l.explained.leftOpen(l.role)
		return nil
	}
	if l.remote == nil {
		return refusal.NotBound("the role has token_bound_cidrs and the host reported no source address")
	}
	if !cidrutil.RemoteAddrIsOk(l.remote.RemoteAddr, l.role.TokenBoundCIDRs) {
		return refusal.NotBound("the source address is not in the role's token_bound_cidrs")
	}
	return nil
}

// audiences are the ones to review the token for. A role without an audience
// takes a token for any, so the API server is asked about the token's own: left
// to itself it would insist on its own audience and refuse tokens meant for Vault.
// Not so by rules, where no role says whom it is for: a token that was made for
// somebody else would be good for whatever rules grant.
func (l *login) audiences() ([]string, error) {
	if l.byRules {
		return l.ruleAudiences(), nil
	}
	if want := l.role.Audiences(); len(want) > 0 {
		return want, nil
	}
	if l.cluster.Config.RequireAudience {
		return nil, &refusal.Refusal{
			Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration,
			Reason: "the configuration has require_audience set, and the role has no audience",
			Remedy: "give the role an audience",
		}
	}
	return l.unverified.UnverifiedAudiences(), nil
}

// ruleAudiences are those of which a token must have one to log in by rules: the
// mount's, else those of the role that these logins go through. With none, the review
// names no audience, and the API server asks for its own.
func (l *login) ruleAudiences() []string {
	if want := l.cluster.Config.BindingRuleAudiences; len(want) > 0 || l.role == nil {
		return want
	}
	return l.role.Audiences()
}

// checkAudience looks at the verified audiences. For the role of a login the
// review was asked for the same; a role that binding rules bind, or that all logins
// by rules go through, has its own. The latter needs none: the mount says which count.
func (l *login) checkAudience(context.Context) error {
	want := l.role.Audiences()
	if len(want) == 0 && l.cluster.Config.RequireAudience && !l.byRules {
		return refusal.NotBound("the configuration has require_audience set, and the role has no audience")
	}
	if len(want) > 0 && !slices.ContainsFunc(want, func(w string) bool { return slices.Contains(l.identity.Audiences(), w) }) {
		return refusal.NotBound(fmt.Sprintf("the token's audiences are %q, the role asks for one of %q", l.identity.Audiences(), want))
	}
	return nil
}

func (l *login) checkName(context.Context) error {
	if l.role.OnlyByBindingRules && !l.roleOfRule && !l.byRules {
		return refusal.Deny("only binding rules give the role (only_by_binding_rules), and the login names it")
	}
	if l.role.LeavesBoundsToRules() {
		return nil
	}
	if !l.role.BindsName(l.identity) && !l.role.BindsPair(l.identity) {
		return refusal.NotBound(fmt.Sprintf("the role is not bound to the service account name %q", l.identity.Name()))
	}
	return nil
}

// checkNamespace asks for the labels of the namespace only if they can make a
// difference.
func (l *login) checkNamespace(ctx context.Context) error {
	if l.role.LeavesBoundsToRules() || l.role.BindsPair(l.identity) || l.role.BindsNamespace(l.identity) {
		return nil
	}
	selector := l.role.NamespaceSelector
	if selector == nil {
		return refusal.NotBound(fmt.Sprintf("the role is not bound to the namespace %q", l.identity.Namespace()))
	}
	namespace, err := l.objects.Namespace(ctx)
	if err != nil {
		return err
	}
	if !selector.Matches(namespace.Labels) {
		return refusal.NotBound(fmt.Sprintf("the labels of the namespace %q do not match the role's selector", l.identity.Namespace()))
	}
	return nil
}

func (l *login) checkSelector(ctx context.Context) error {
	if l.role.Unusable != nil {
		return &refusal.Refusal{
			Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration, Err: l.role.Unusable,
			Reason: "the role's selector cannot be read", Remedy: "write the role anew",
		}
	}
	if l.role.Selector == nil {
		return nil
	}
	matched, err := l.role.Selector.Match(ctx, l.attributes, l.fetch)
	if err != nil {
		return err
	}
	if !matched {
		return refusal.NotBound("the role's selector does not match: " + l.role.Selector.Mismatch(l.attributes))
	}
	return nil
}
