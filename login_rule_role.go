package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// ruleRole is the role that every login by rules goes through; nil if the
// configuration names none. One that is not there must not let everybody pass.
func (b *backend) ruleRole(ctx context.Context, s logical.Storage, config *configEntry) (*role.Role, error) {
	name := config.BindingRuleRole
	if name == "" {
		return nil, nil
	}
	r, err := b.roles.Get(ctx, s, roleCacheKey(name))
	if err == nil && r == nil {
		err = &refusal.Refusal{
			Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration,
			Reason: fmt.Sprintf("there is no role %q, which binding_rule_role names", name),
			Remedy: "write the role, or patch binding_rule_role in the configuration",
		}
	}
	return r, err
}

// checkRuleRole refuses a login by rules that the mount's binding_rule_role is not
// meant for. Its addresses are a step of their own.
func (l *login) checkRuleRole(ctx context.Context) error {
	if l.role == nil {
		return nil
	}
	attempt := *l
	attempt.explained = nil
	err := attempt.run(ctx, boundSteps)
	if !refusal.IsMismatch(err) {
		return err
	}
	return refusal.Deny(fmt.Sprintf("the bounds of the role %q, which every login by rules goes through, do not hold: %v", l.connection.config.BindingRuleRole, err))
}

// maxRuleAudiences bounds what each review asks for.
const maxRuleAudiences = 32

// validateRules refuses what no login by rules could use.
func (c *configEntry) validateRules() error {
	if len(c.BindingRuleAudiences) > maxRuleAudiences {
		return fmt.Errorf("binding_rule_audiences: more than %d", maxRuleAudiences)
	}
	for _, audience := range c.BindingRuleAudiences {
		if strings.TrimSpace(audience) == "" || len(audience) > maxClusterNameBytes || strings.ContainsFunc(audience, isNotPrintable) {
			return fmt.Errorf("binding_rule_audiences: one is empty, has more than %d bytes, or is not printable", maxClusterNameBytes)
		}
	}
	if name := c.BindingRuleRole; name != "" && (len(name) > maxRoleNameBytes || isRelative(name) || !storableRoleName.MatchString(name)) {
		return errors.New("binding_rule_role: not the name of a role")
	}
	return nil
}

// ruleRoleProblem says why no login by rules can pass binding_rule_role, or "" if
// nothing is known against it.
func (c *configEntry) ruleRoleProblem(r *role.Role) string {
	switch name := c.BindingRuleRole; {
	case name == "":
		return ""
	case r == nil:
		return fmt.Sprintf("there is no role %q, which binding_rule_role names; logins by rules are refused until there is", name)
	case len(c.BindingRuleAudiences) > 0 && len(r.Audiences()) > 0 &&
		!slices.ContainsFunc(r.Audiences(), func(a string) bool { return slices.Contains(c.BindingRuleAudiences, a) }):
		return fmt.Sprintf("binding_rule_audiences has none of the audiences %q of the role %q, which binding_rule_role names; logins by rules are refused", r.Audiences(), name)
	}
	return ""
}

// ruleRoleWarnings are what whoever writes the configuration should know of the role.
func (b *backend) ruleRoleWarnings(ctx context.Context, s logical.Storage, config *configEntry) []string {
	if config.BindingRuleRole == "" {
		return nil
	}
	r, err := b.roles.Get(ctx, s, roleCacheKey(config.BindingRuleRole))
	switch problem := config.ruleRoleProblem(r); {
	case err != nil:
		return nil // that a role cannot be read now is no fault of the configuration's
	case problem != "":
		return []string{problem}
	case !r.OnlyByBindingRules:
		return []string{fmt.Sprintf("The role %q can also be had by naming it, with its policies, whatever rules match, "+
			"and by tokens that are for none of binding_rule_audiences; only_by_binding_rules=true on the role ends that.", config.BindingRuleRole)}
	}
	return nil
}

// narrowerThanConsul says what lets fewer log in by rules than Consul does, a line each.
// An import leaves it as it is: it was set for the rules that the mount has already.
func (c *configEntry) narrowerThanConsul() []string {
	var lines []string
	if len(c.BindingRuleAudiences) > 0 {
		lines = append(lines, fmt.Sprintf("tokens for the API server's own audience: binding_rule_audiences asks for one of %q, and stays", c.BindingRuleAudiences))
	}
	if c.BindingRuleRole != "" {
		lines = append(lines, fmt.Sprintf("logins without bounds: all go through binding_rule_role %q, which stays", c.BindingRuleRole))
	}
	return lines
}
