// Package access answers what an audit asks of a mount: which roles and rules can give a
// policy, and to whom; and which of them a service account could use. It judges by what is
// stored and asks no cluster, so what labels, pods and tokens decide is a condition in its
// answer: it may name too much, and leaves nothing out.
package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/role"
)

// A Question is asked of each role and each rule. The answer says what is given, and to
// whom; it is empty where that is nothing or nobody.
type Question interface {
	// OfRole asks about a role. byRules is whether all logins by rules go through it.
	OfRole(name string, r *role.Role, byRules bool) string
	// OfRule asks about a rule. roleOf returns the role of a name, nil if there is none.
	OfRule(rule binding.Rule, roleOf func(name string) (*role.Role, error)) (string, error)
}

// Policy asks who can be given a policy.
type Policy string

// OfRole is whom the role is for, if it gives the policy.
func (p Policy) OfRole(_ string, r *role.Role, byRules bool) string {
	if !p.isOf(r) {
		return ""
	}
	to := whom(r)
	if byRules {
		to += "; and every login by rules, which goes through it"
	}
	return to
}

func (p Policy) isOf(r *role.Role) bool {
	return slices.ContainsFunc(r.TokenPolicies, func(name string) bool { return strings.EqualFold(name, string(p)) })
}

// OfRule is whom the rule is for, if it can compute the name of the policy, or of a role
// that has it.
func (p Policy) OfRule(rule binding.Rule, roleOf func(string) (*role.Role, error)) (string, error) {
	if rule.BindType != binding.BindPolicy && rule.BindType != binding.BindRole {
		return "", nil
	}
	template, err := binding.CompileTemplate(rule.BindType, rule.BindName)
	if err != nil {
		return "", nil // broken: it matches nothing
	}
	what := fmt.Sprintf("%s %s to ", rule.BindType, rule.BindName)
	if rule.BindType == binding.BindPolicy {
		if !template.CanBe(strings.ToLower(string(p))) {
			return "", nil
		}
		return what + selected(rule), nil
	}
	if template.Fixed() {
		r, err := roleOf(rule.BindName)
		if err != nil || r == nil || !p.isOf(r) {
			return "", err
		}
		return what + selected(rule) + ", within the role's bounds", nil
	}
	return what + selected(rule) + ", where that is a role that gives it", nil
}

// Account asks what a service account could use.
type Account struct{ Who identity.Supposed }

// OfRole says what the role gives the account, and on what that depends.
func (a Account) OfRole(_ string, r *role.Role, byRules bool) string {
	named := r.BindsName(a.Who) && (r.BindsNamespace(a.Who) || r.NamespaceSelector != nil)
	switch {
	case r.Unusable != nil || !named && !r.BindsPair(a.Who) && !r.LeavesBoundsToRules():
		return ""
	case r.OnlyByBindingRules:
		return "" // the rules that bind it are asked
	}
	var conditions []string
	if r.UseBindingRules {
		conditions = append(conditions, "binding rules grant it something")
	}
	if !r.BindsPair(a.Who) && !r.BindsNamespace(a.Who) && !r.LeavesBoundsToRules() {
		conditions = append(conditions, "the labels of its namespace match "+r.ServiceAccountNamespaceSelector)
	}
	gives := "policies " + list(r.TokenPolicies)
	if byRules {
		gives += ", and lets its logins by rules pass"
	}
	return gives + onCondition(append(conditions, furtherBounds(r)...))
}

// errLater ends the evaluation of a selector that depends on more than is known here.
var errLater = errors.New("depends on what is in the cluster")

// OfRule says what the rule gives the account, and on what that depends.
func (a Account) OfRule(rule binding.Rule, _ func(string) (*role.Role, error)) (string, error) {
	gives := fmt.Sprintf("%s %s", rule.BindType, rule.BindName)
	selector, err := binding.CompileSelector(rule.Selector)
	if err != nil {
		return "", nil // broken: it matches nothing
	}
	if selector.DependsOnToken() || rule.UseServiceNameAnnotation {
		return gives + onCondition([]string{rule.Selector}), nil
	}
	later := func(context.Context, binding.Source) error { return errLater }
	matches, err := selector.Match(context.Background(), binding.NewAttributes(a.Who, binding.Context{}), later)
	switch {
	case errors.Is(err, errLater):
		return gives + onCondition([]string{rule.Selector}), nil
	case err != nil || !matches:
		return "", nil
	}
	return gives, nil
}

func onCondition(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return ", if " + strings.Join(conditions, " and ")
}

// whom is whom a role is for, in words.
func whom(r *role.Role) string {
	if r.Unusable != nil {
		return "nobody: " + r.Unusable.Error()
	}
	var who []string
	if len(r.BoundServiceAccounts) > 0 {
		who = append(who, "service accounts "+list(r.BoundServiceAccounts))
	}
	if len(r.ServiceAccountNames) > 0 {
		where := "namespaces " + list(r.ServiceAccountNamespaces)
		if r.ServiceAccountNamespaceSelector != "" {
			where += " or those whose labels match " + r.ServiceAccountNamespaceSelector
		}
		who = append(who, fmt.Sprintf("names %s in %s", list(r.ServiceAccountNames), where))
	}
	to := strings.Join(who, ", and ")
	if r.UseBindingRules {
		to = strings.TrimSuffix("whoever names it and is granted something by binding rules, within "+to, ", within ")
	}
	if r.OnlyByBindingRules {
		to = strings.TrimSuffix("whoever binding rules bind it to, within "+to, ", within ")
	}
	return to + onCondition(furtherBounds(r))
}

// furtherBounds are those that narrow a role beyond names and namespaces.
func furtherBounds(r *role.Role) (bounds []string) {
	if r.Entry.Selector != "" {
		bounds = append(bounds, r.Entry.Selector)
	}
	if audiences := r.Audiences(); len(audiences) > 0 {
		bounds = append(bounds, "the token is for one of "+list(audiences))
	}
	if len(r.TokenBoundCIDRs) > 0 {
		bounds = append(bounds, "the client's address is in token_bound_cidrs")
	}
	return bounds
}

// selected is whom a rule is for, in words.
func selected(rule binding.Rule) string {
	to := rule.Selector
	if to == "" || to == binding.Everything {
		to = "every service account of the cluster"
	}
	if rule.UseServiceNameAnnotation {
		to += " (use_service_name_annotation)"
	}
	return to
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}
