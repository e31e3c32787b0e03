package login

import (
	"context"
	"fmt"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// Through is a role that a login by rules goes through: its bounds have to hold, its
// policies and settings join what rules grant.
type Through struct {
	*role.Role
	Name string
	// OfMount tells that the configuration names it as binding_rule_role.
	OfMount bool
}

// goThrough finds the roles that a login by rules goes through. That of the mount comes
// first, whichever role the login names: nobody shall get around it by naming another.
func (d *decision) goThrough(ctx context.Context) error {
	d.Through = nil
	if name := d.Cluster.Config.BindingRuleRole; name != "" {
		r, err := d.mount.Role(ctx, name)
		if err != nil {
			return err
		}
		if r == nil { // one that is not there must not let everybody pass
			return &refusal.Refusal{
				Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration,
				Reason: fmt.Sprintf("there is no role %q, which binding_rule_role names", name),
				Remedy: "write the role, or patch binding_rule_role in the configuration",
			}
		}
		d.Through = append(d.Through, Through{r, role.Key(name), true})
		if d.named != nil && d.named.Name == role.Key(name) {
			return nil
		}
	}
	if d.named != nil {
		d.Through = append(d.Through, *d.named)
	}
	return nil
}

// roles are those whose bounds the login has to be within: the one that was named, or by
// rules those that it goes through. The first names the alias.
func (o *Finding) roles() []*role.Role {
	if o.Role != nil {
		return []*role.Role{o.Role}
	}
	roles := make([]*role.Role, len(o.Through))
	for i, r := range o.Through {
		roles[i] = r.Role
	}
	return roles
}

// checkRuleRole refuses a login by rules that a role which it goes through is not meant
// for. Addresses are a step of their own.
func (d *decision) checkRuleRole(ctx context.Context) error {
	for _, r := range d.Through {
		ofRole := *d
		ofRole.Role = r.Role
		err := run(ctx, &ofRole, Unobserved, boundSteps)
		if refusal.IsMismatch(err) {
			return refusal.Deny(fmt.Sprintf("the bounds of the role %q, %s, do not hold: %v", r.Name, r.which(), err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r Through) which() string {
	if r.OfMount {
		return "which every login by rules goes through"
	}
	return "which the login names"
}
