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

// RoleUseWarnings say why logins that are given the role cannot work, as it is written.
func (c *Entry) RoleUseWarnings(name string, r *role.Entry) []string {
	var warnings []string
	if policy := r.ReservedPolicy(); policy != "" {
		warnings = append(warnings, fmt.Sprintf("Role %s %s.", name, role.PolicyRefused(policy)))
	}
	if c.GoesThrough(name) {
		if problem := c.RuleRoleProblem(&role.Role{Entry: r}); problem != "" {
			warnings = append(warnings, problem)
		}
	}
	return warnings
}
