package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// explanation is an account of one login that is only to be explained. The login
// itself tells it what happens; it decides nothing but whether to go on for the
// sake of the account. The methods that a login calls work on nil, which is that
// of a login that is not explained.
type explanation struct {
	steps []stepVerdict
	// refused is the first error of a step, nil if there is none yet.
	refused error
	// open are the roles whose token_bound_cidrs were not judged, since the
	// address is not known.
	open []*role.Role
	// rules is what became of each binding rule, by name.
	rules []binding.Explanation
	// roles are the accounts of the roles that binding rules bind, by the name
	// that the rule gives; nil for a role that does not exist.
	roles map[string]*explanation
}

// stepVerdict is how a step ended.
type stepVerdict struct {
	step refusal.Step
	err  error // nil if it passed
	open bool  // it passed since it was not judged
}

// ended hears how a step ended, and tells whether the next one is to be judged. What
// asks for the bounds of a role works on the answer of the review alone, so that
// an operator may hear of all bounds that do not hold, and not of the first only.
func (e *explanation) ended(name refusal.Step, err error) (goOn bool) {
	verdict := stepVerdict{step: name, err: err}
	verdict.open = err == nil && name == refusal.StepAddress && len(e.open) > 0
	e.steps = append(e.steps, verdict)
	if err != nil && e.refused == nil {
		e.refused = err
	}
	if e.refused == nil {
		return true
	}
	var r *refusal.Refusal
	at := slices.IndexFunc(boundSteps, func(s loginStep) bool { return s.name == name })
	return errors.As(e.refused, &r) && at >= 0 && at < len(boundSteps)-1
}

// leftOpen hears of a role that allows some addresses only, where the address is
// not known.
func (e *explanation) leftOpen(r *role.Role) { e.open = append(e.open, r) }

// isLeftOpen tells whether there is such a role, or one that binding rules bind.
func (e *explanation) isLeftOpen() bool {
	if e == nil {
		return false
	}
	if len(e.open) > 0 {
		return true
	}
	for _, bound := range e.roles {
		if bound.isLeftOpen() {
			return true
		}
	}
	return false
}

// roleMissing hears of a role that a binding rule binds and that does not exist.
func (e *explanation) roleMissing(name string) {
	if e != nil {
		e.account(name, nil)
	}
}

// ofRole is where the steps of a role are told that a binding rule binds.
func (e *explanation) ofRole(name string) *explanation {
	if e == nil {
		return nil
	}
	bound := &explanation{}
	e.account(name, bound)
	return bound
}

func (e *explanation) account(role string, bound *explanation) {
	if e.roles == nil {
		e.roles = map[string]*explanation{}
	}
	e.roles[role] = bound
}

// reasons are those of the steps that refused, in one line.
func (e *explanation) reasons() string {
	var reasons []string
	for _, v := range e.steps {
		if v.err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %s", v.step, v.err))
		}
	}
	return strings.Join(reasons, "; ")
}
