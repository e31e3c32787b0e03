// Package explain gives an account of a login that issues nothing: how each step ended, for
// which reason, what to do about it, and what the login came to. It watches a login and
// decides nothing of it.
package explain

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// Account is what an observer heard of a login, or of a role that binding rules bind.
type Account struct {
	steps []stepVerdict
	// refused is the first error of a step, nil if there is none yet.
	refused error
	// open are the roles whose token_bound_cidrs were not judged, since the
	// address is not known.
	open []*role.Role
	// rules is what became of each binding rule, by name; nil if none was evaluated.
	rules []binding.Explanation
	// roles are the accounts of the roles that binding rules bind, by the name
	// that the rule gives; nil for a role that does not exist.
	roles map[string]*Account
}

// stepVerdict is how a step ended.
type stepVerdict struct {
	step refusal.Step
	err  error // nil if it passed
	open bool  // it passed since it was not judged
}

// StepEnded hears how a step ended, and wants to hear of the next one where that asks for
// another bound of a role: an operator may then see all bounds that do not hold, and not
// the first only.
func (a *Account) StepEnded(name refusal.Step, err error) (further bool) {
	verdict := stepVerdict{step: name, err: err}
	verdict.open = err == nil && name == refusal.StepAddress && len(a.open) > 0
	a.steps = append(a.steps, verdict)
	if err != nil && a.refused == nil {
		a.refused = err
	}
	var r *refusal.Refusal
	return errors.As(a.refused, &r) && login.IsBound(name)
}

// NotJudged hears of a role that allows some addresses only, where the address is
// not known.
func (a *Account) NotJudged(r *role.Role) { a.open = append(a.open, r) }

// Bind evaluates the rules, and keeps what became of each.
func (a *Account) Bind(ctx context.Context, rules *binding.RuleSet, attributes *binding.RuleAttributes, fetch binding.Fetch) (binding.Grants, error) {
	account, grants, err := rules.Explain(ctx, attributes, fetch)
	a.rules = account
	return grants, err
}

// BindConsul evaluates the rules for Consul tokens, and keeps what became of each.
func (a *Account) BindConsul(ctx context.Context, rules *binding.RuleSet, attributes *binding.RuleAttributes, fetch binding.Fetch) (binding.ConsulGrants, error) {
	account, grants, err := rules.ExplainConsul(ctx, attributes, fetch)
	a.rules = account
	return grants, err
}

// RoleMissing hears of a role that a binding rule binds and that does not exist.
func (a *Account) RoleMissing(name string) { a.account(name, nil) }

// OfRole is where the steps of a role are told that a binding rule binds.
func (a *Account) OfRole(name string) login.Observer {
	bound := &Account{}
	a.account(name, bound)
	return bound
}

func (a *Account) account(role string, bound *Account) {
	if a.roles == nil {
		a.roles = map[string]*Account{}
	}
	a.roles[role] = bound
}

// leavesAddressesOpen tells whether there is a role whose addresses were not judged, or one
// that binding rules bind.
func (a *Account) leavesAddressesOpen() bool {
	if a == nil {
		return false
	}
	if len(a.open) > 0 {
		return true
	}
	for _, bound := range a.roles {
		if bound.leavesAddressesOpen() {
			return true
		}
	}
	return false
}

// reasons are those of the steps that refused, in one line.
func (a *Account) reasons() string {
	var reasons []string
	for _, v := range a.steps {
		if v.err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %s", v.step, v.err))
		}
	}
	return strings.Join(reasons, "; ")
}
