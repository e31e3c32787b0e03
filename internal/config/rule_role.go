package config

import (
	"fmt"
	"strings"

	"vault-plugin-auth-kubernetes/internal/role"
)

// GoesThrough tells whether logins by rules go through the role of that name. c may be nil.
func (c *Entry) GoesThrough(name string) bool {
	return c != nil && c.BindingRuleRole != "" && strings.EqualFold(c.BindingRuleRole, name)
}

// RoleUseWarnings say why logins that are given the role cannot work, as it is written, and,
// of one that is new, that logins by rules are not its only ones.
func (c *Entry) RoleUseWarnings(name string, r *role.Entry, isNew bool) []string {
	var warnings []string
	if policy := r.ReservedPolicy(); policy != "" {
		warnings = append(warnings, fmt.Sprintf("Role %s %s.", name, role.PolicyRefused(policy)))
	}
	if c.GoesThrough(name) {
		if problem := c.RuleRoleProblem(&role.Role{Entry: r}); problem != "" {
			warnings = append(warnings, problem)
		} else if isNew && !r.StandsForRules() {
			warnings = append(warnings, CanBeNamed(name))
		}
	} else if problem := c.NamedRoleProblem(r); problem != "" {
		warnings = append(warnings, fmt.Sprintf("Role %s: %s", name, problem))
	}
	return warnings
}

// CanBeNamed says that clients can have the role of logins by rules without any rule. It is
// said by the writes that make it so, and not by those of other settings.
func CanBeNamed(name string) string {
	return fmt.Sprintf("The role %q can also be had by naming it, with its policies, whatever rules match, "+
		"and by tokens that are for none of binding_rule_audiences; use_binding_rules=true on the role ends that.", name)
}
