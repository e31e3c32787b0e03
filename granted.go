package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// granted is what the binding rules come to for one login, together with the
// roles that they bind.
type granted struct {
	binding.Grants
	settings tokenSettings
}

// joinedNames is how several services or nodes stand in metadata.
func joinedNames(names []string) string { return strings.Join(names, ",") }

// applyRules finds what the binding rules grant. Nothing at all is a refusal.
func (l *login) applyRules(ctx context.Context) error {
	grants, err := l.bindConfirmed(ctx)
	var invalidName *binding.InvalidNameError
	if errors.As(err, &invalidName) {
		return &refusal.Refusal{
			Kind: refusal.Denied, Operator: true, Tenant: l.identity.Namespace(), Class: refusal.ClassInvalidName, Err: err,
			Remedy: "change the binding rule, or what it takes the name from",
		}
	}
	if err != nil {
		return err
	}
	g := &granted{Grants: grants}
	if err := l.joinRoles(ctx, g); err != nil {
		return err
	}
	if g.Empty() {
		return refusal.Deny("no binding rule grants anything")
	}
	if l.role != nil {
		g.join(l.role)
	}
	if err := l.checkAddresses(g); err != nil {
		return err
	}
	for _, names := range [][]string{g.Services, g.Nodes} {
		if len(joinedNames(names)) > maxAliasMetadataBytes {
			return &refusal.Refusal{
				Kind: refusal.Denied, Operator: true, Tenant: l.identity.Namespace(), Class: refusal.ClassMetadataLength,
				Reason: fmt.Sprintf("the services or nodes that the binding rules grant are longer than the %d bytes that fit into alias metadata", maxAliasMetadataBytes),
				Remedy: "let fewer binding rules match",
			}
		}
	}
	l.granted = g
	return nil
}

// bindConfirmed evaluates the rules, until those that grant something are known to be
// what storage holds.
func (l *login) bindConfirmed(ctx context.Context) (binding.Grants, error) {
	for {
		rules, err := l.b.rules.Get(ctx, l.storage)
		if err != nil {
			return binding.Grants{}, err
		}
		grants, err := l.bind(ctx, rules)
		matched := grants.Rules
		if invalid := (*binding.InvalidNameError)(nil); errors.As(err, &invalid) {
			matched = []string{invalid.Rule}
		}
		again, unread := l.b.rules.Confirm(ctx, l.storage, matched)
		if unread != nil {
			return binding.Grants{}, unread
		}
		if !again {
			return grants, err
		}
	}
}

// bind evaluates the rules, with an account of each where the login is explained.
func (l *login) bind(ctx context.Context, rules *binding.RuleSet) (binding.Grants, error) {
	attributes := l.attributes.ForRules(l.cluster.Config.ServiceNameAnnotation)
	if l.explained == nil {
		return rules.Bind(ctx, attributes, l.fetch)
	}
	account, grants, err := rules.Explain(ctx, attributes, l.fetch)
	l.explained.rules = account
	return grants, err
}

// joinRoles looks at the roles that were granted: one that does not exist, or
// whose bounds do not hold, is skipped; the others' policies and settings join.
func (l *login) joinRoles(ctx context.Context, g *granted) error {
	names := g.Roles
	g.Roles = nil
	for _, name := range names {
		r, err := l.b.roles.Get(ctx, l.storage, role.Key(name))
		if err != nil {
			return err
		}
		if r == nil {
			l.explained.roleMissing(name)
			continue
		}
		switch holds, err := l.holds(ctx, name, r); {
		case err != nil:
			return err
		case holds:
			g.Roles = append(g.Roles, name)
			g.join(r)
		}
	}
	return nil
}

// join adds the policies and settings of a role.
func (g *granted) join(r *role.Role) {
	g.Policies = append(g.Policies, r.TokenPolicies...)
	slices.Sort(g.Policies)
	g.Policies = slices.Compact(g.Policies)
	g.settings.join(r)
}

// checkAddresses refuses a token that could be used nowhere.
func (l *login) checkAddresses(g *granted) error {
	if g.settings.nowhere && l.explained.isLeftOpen() {
		return refusal.OfRequest("the roles that were bound have token_bound_cidrs with nothing in common, so the address decides which of them count; give remote_addr", "")
	}
	if g.settings.nowhere {
		return refusal.Deny("the roles that were bound have token_bound_cidrs with nothing in common")
	}
	return nil
}

// holds tells whether the bounds of a role hold for the login. Whatever else ends the
// judgement, such as a look-up that was not allowed, ends the login: the role may be
// there to narrow what other rules grant.
func (l *login) holds(ctx context.Context, name string, r *role.Role) (bool, error) {
	attempt := *l
	attempt.role, attempt.byRules, attempt.roleOfRule = r, false, true
	attempt.explained = l.explained.ofRole(name)
	err := attempt.run(ctx, slices.Concat([]loginStep{{refusal.StepAddress, (*login).checkAddress}}, boundSteps))
	if refusal.IsMismatch(err) {
		return false, nil
	}
	return err == nil, err
}

// populate puts what was granted into the token that is to be issued.
func (g *granted) populate(auth *logical.Auth) {
	auth.Policies = g.Policies
	auth.Renewable = true
	auth.GroupAliases = groupAliases(g.Groups)
	g.settings.populate(auth)
}

// groupAliases is how the host is told of groups.
func groupAliases(names []string) []*logical.Alias {
	var aliases []*logical.Alias
	for _, name := range names {
		aliases = append(aliases, &logical.Alias{Name: name})
	}
	return aliases
}

// tokenSettings are the strictest of several roles' token settings.
type tokenSettings struct {
	ttl, maxTTL, explicitMaxTTL, period time.Duration // 0 means the mount's
	numUses                             int           // 0 means unlimited
	noDefaultPolicy                     bool
	tokenType                           logical.TokenType
	cidrs                               []*sockaddr.SockAddrMarshaler // none means any
	nowhere                             bool                          // no address is left
	joined                              bool
}

// join makes the settings as strict as the role's, if they are not stricter.
func (s *tokenSettings) join(r *role.Role) {
	s.ttl = lesser(s.ttl, r.TokenTTL)
	s.maxTTL = lesser(s.maxTTL, r.TokenMaxTTL)
	s.explicitMaxTTL = lesser(s.explicitMaxTTL, r.TokenExplicitMaxTTL)
	s.numUses = lesser(s.numUses, r.TokenNumUses)
	s.noDefaultPolicy = s.noDefaultPolicy || r.TokenNoDefaultPolicy
	if !s.joined {
		s.period, s.tokenType, s.cidrs = r.TokenPeriod, r.TokenType, r.TokenBoundCIDRs
		s.joined = true
		return
	}
	// A period lets a token live for ever, so all have to allow it.
	if s.period == 0 || r.TokenPeriod == 0 {
		s.period = 0
	} else {
		s.period = min(s.period, r.TokenPeriod)
	}
	// A service token can be revoked, so one role that asks for it is enough.
	if s.tokenType != r.TokenType {
		s.tokenType = logical.TokenTypeService
	}
	s.restrict(r.TokenBoundCIDRs)
}

// restrict leaves the addresses that are in both lists.
func (s *tokenSettings) restrict(cidrs []*sockaddr.SockAddrMarshaler) {
	if len(cidrs) == 0 || len(s.cidrs) == 0 {
		s.cidrs = append(s.cidrs, cidrs...)
		return
	}
	var both []*sockaddr.SockAddrMarshaler
	for _, a := range s.cidrs {
		for _, b := range cidrs {
			switch {
			case contains(a, b):
				both = append(both, b)
			case contains(b, a):
				both = append(both, a)
			}
		}
	}
	s.cidrs, s.nowhere = both, s.nowhere || len(both) == 0
}

// contains tells whether block a contains block b. Of two blocks that share an
// address, one contains the other.
func contains(a, b *sockaddr.SockAddrMarshaler) bool {
	outer, ok := a.SockAddr.(sockaddr.IPAddr)
	if !ok {
		return false
	}
	return outer.Contains(b.SockAddr)
}

func (s *tokenSettings) populate(auth *logical.Auth) {
	auth.TTL, auth.MaxTTL, auth.ExplicitMaxTTL, auth.Period = s.ttl, s.maxTTL, s.explicitMaxTTL, s.period
	auth.NumUses, auth.NoDefaultPolicy, auth.TokenType = s.numUses, s.noDefaultPolicy, s.tokenType
	auth.BoundCIDRs = s.cidrs
	if auth.TokenType == logical.TokenTypeBatch && (auth.Period != 0 || auth.NumUses != 0) {
		auth.TokenType = logical.TokenTypeService // a batch token can have neither
	}
}

// lesser returns the lesser of two limits, of which 0 is none.
func lesser[T int | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
