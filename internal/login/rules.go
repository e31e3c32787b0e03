package login

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// Granted is what the binding rules come to for one login, together with the
// roles that they bind.
type Granted struct {
	binding.Grants
	Settings role.Settings
}

// applyRules finds what the binding rules grant. Nothing at all is a refusal.
func (d *decision) applyRules(ctx context.Context) error {
	grants, err := d.bindConfirmed(ctx)
	if err != nil {
		return d.ofName(err)
	}
	g := &Granted{Grants: grants}
	if err := d.joinRoles(ctx, g); err != nil {
		return err
	}
	if g.Empty() {
		return refusal.Deny("no binding rule grants anything")
	}
	for _, r := range d.Through {
		g.join(r.Role)
	}
	if err := d.checkAddresses(g); err != nil {
		return err
	}
	for _, names := range [][]string{g.Services, g.Nodes} {
		if len(metadata.Joined(names)) > metadata.MaxValueBytes {
			return &refusal.Refusal{
				Kind: refusal.Denied, Operator: true, Tenant: d.Who.Namespace(), Class: refusal.ClassMetadataLength,
				Reason: fmt.Sprintf("the services or nodes that the binding rules grant are longer than the %d bytes that fit into alias metadata", metadata.MaxValueBytes),
				Remedy: "let fewer binding rules match",
			}
		}
	}
	d.Granted = g
	return nil
}

// ofName makes a refusal of an error about a name that a rule computes; others it returns
// as they are.
func (d *decision) ofName(err error) error {
	var invalidName *binding.InvalidNameError
	if !errors.As(err, &invalidName) {
		return err
	}
	return &refusal.Refusal{
		Kind: refusal.Denied, Operator: true, Tenant: d.Who.Namespace(), Class: refusal.ClassInvalidName, Err: err,
		Remedy: "change the binding rule, or what it takes the name from",
	}
}

// bindConfirmed evaluates the rules, until those that grant something are known to be
// what storage holds.
func (d *decision) bindConfirmed(ctx context.Context) (grants binding.Grants, err error) {
	err = d.confirmed(ctx, func(rules *binding.RuleSet) ([]string, error) {
		grants, err = d.observer.Bind(ctx, rules, d.Attributes.ForRules(d.Cluster.Config.ServiceNameAnnotation), d.fetch)
		return grants.Rules, err
	})
	return grants, err
}

// confirmed has the rules evaluated until those that matched are known to be what storage
// holds.
func (d *decision) confirmed(ctx context.Context, evaluate func(rules *binding.RuleSet) (matched []string, err error)) error {
	for {
		rules, err := d.mount.Rules(ctx)
		if err != nil {
			return err
		}
		matched, err := evaluate(rules)
		if invalid := (*binding.InvalidNameError)(nil); errors.As(err, &invalid) {
			matched = []string{invalid.Rule}
		}
		again, unread := d.mount.Confirm(ctx, matched)
		if unread != nil {
			return unread
		}
		if !again {
			return err
		}
	}
}

// joinRoles looks at the roles that were granted: one that does not exist, or
// whose bounds do not hold, is skipped; the others' policies and settings join.
func (d *decision) joinRoles(ctx context.Context, g *Granted) error {
	names := g.Roles
	g.Roles = nil
	for _, name := range names {
		r, err := d.mount.Role(ctx, name)
		if err != nil {
			return err
		}
		if r == nil {
			d.observer.RoleMissing(name)
			continue
		}
		switch holds, err := d.holds(ctx, name, r); {
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
func (g *Granted) join(r *role.Role) {
	g.Policies = append(g.Policies, r.TokenPolicies...)
	slices.Sort(g.Policies)
	g.Policies = slices.Compact(g.Policies)
	g.Settings.Join(r)
}

// checkAddresses refuses a token that could be used nowhere.
func (d *decision) checkAddresses(g *Granted) error {
	switch {
	case g.Settings.NoAddressLeft && d.Source.open:
		return refusal.OfRequest("the roles that were bound have token_bound_cidrs with nothing in common, so the address decides which of them count; give remote_addr", "")
	case g.Settings.NoAddressLeft:
		return refusal.Deny("the roles that were bound have token_bound_cidrs with nothing in common")
	}
	return nil
}

// holds tells whether the bounds of a role hold for the login. Whatever else ends the
// judgement, such as a look-up that was not allowed, ends the login: the role may be
// there to narrow what other rules grant.
func (d *decision) holds(ctx context.Context, name string, r *role.Role) (bool, error) {
	ofRole := *d
	ofRole.Role, ofRole.ByRules, ofRole.roleOfRule = r, false, true
	ofRole.observer = d.observer.OfRole(name)
	err := run(ctx, &ofRole, ofRole.observer, boundRoleSteps)
	if refusal.IsMismatch(err) {
		return false, nil
	}
	return err == nil, err
}
