package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// ruleRole is the role that every login by rules goes through; nil if the
// configuration names none. One that is not there must not let everybody pass.
func (b *backend) ruleRole(ctx context.Context, s logical.Storage, config *config.Entry) (*role.Role, error) {
	name := config.BindingRuleRole
	if name == "" {
		return nil, nil
	}
	r, err := b.roles.Get(ctx, s, role.Key(name))
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
	return refusal.Deny(fmt.Sprintf("the bounds of the role %q, which every login by rules goes through, do not hold: %v", l.cluster.Config.BindingRuleRole, err))
}

// ruleRoleWarnings are what whoever writes the configuration should know of the role.
func (b *backend) ruleRoleWarnings(ctx context.Context, s logical.Storage, config *config.Entry) []string {
	if config.BindingRuleRole == "" {
		return nil
	}
	r, err := b.roles.Get(ctx, s, role.Key(config.BindingRuleRole))
	switch problem := config.RuleRoleProblem(r); {
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
