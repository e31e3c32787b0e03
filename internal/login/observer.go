package login

import (
	"context"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// Observer is told how a login goes, and decides nothing of it.
type Observer interface {
	// StepEnded hears how a step ended, with nil where it passed, and tells whether to judge
	// the next one all the same where the login is refused.
	StepEnded(step refusal.Step, err error) (further bool)
	// NotJudged hears of a role that allows some addresses only, where the address is
	// not known.
	NotJudged(r *role.Role)
	// Bind evaluates the rules of the mount, as binding.RuleSet has it.
	Bind(ctx context.Context, rules *binding.RuleSet, attributes *binding.RuleAttributes, fetch binding.Fetch) (binding.Grants, error)
	// BindConsul evaluates those for Consul tokens in the same way.
	BindConsul(ctx context.Context, rules *binding.RuleSet, attributes *binding.RuleAttributes, fetch binding.Fetch) (binding.ConsulGrants, error)
	// RoleMissing hears of a role that a binding rule binds and that does not exist.
	RoleMissing(name string)
	// OfRole is told how the bounds of a role end that a binding rule binds.
	OfRole(name string) Observer
}

// Unobserved is the observer of logins that nobody looks at.
var Unobserved Observer = unobserved{}

type unobserved struct{}

func (unobserved) StepEnded(refusal.Step, error) bool { return false }
func (unobserved) NotJudged(*role.Role)               {}
func (unobserved) RoleMissing(string)                 {}
func (unobserved) OfRole(string) Observer             { return Unobserved }

func (unobserved) Bind(ctx context.Context, rules *binding.RuleSet, attributes *binding.RuleAttributes, fetch binding.Fetch) (binding.Grants, error) {
	return rules.Bind(ctx, attributes, fetch)
}

func (unobserved) BindConsul(ctx context.Context, rules *binding.RuleSet, attributes *binding.RuleAttributes, fetch binding.Fetch) (binding.ConsulGrants, error) {
	return rules.BindConsul(ctx, attributes, fetch)
}
