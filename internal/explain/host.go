package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// RefusedByHost is how a login ends that the plugin allows and Vault does not: some
// policies Vault gives to no token of an auth method. nil if there is none of these. It is
// looked at where a login is explained; a login itself leaves it to Vault, whose words the
// caller reads.
func RefusedByHost(ctx context.Context, m login.Mount, o *login.Finding, mount, roleName string) error {
	policies, names := []string(nil), []string{roleName}
	if o.Granted != nil {
		policies, names = o.Granted.Policies, nil
		for _, r := range o.Through {
			names = append(names, r.Name)
		}
		names = append(names, o.Granted.Roles...)
	} else {
		policies = o.Role.TokenPolicies
	}
	policy := binding.ReservedPolicy(policies)
	if policy == "" {
		return nil
	}
	refused := &refusal.Refusal{
		Kind: refusal.Invalid, Class: refusal.ClassInvalid, Message: fmt.Sprintf("cannot assign policy %q", policy),
		Reason: fmt.Sprintf("the login would get the policy %q, which Vault gives to no token of an auth method", policy),
	}
	if policy == "root" {
		refused.Message = "auth methods cannot create root tokens"
	}
	if err := nameRoleOf(ctx, m, refused, policy, mount, names); err != nil {
		return err
	}
	return &refusal.StepError{Step: refusal.StepToken, Err: refused}
}

// nameRoleOf says in a refusal which of the roles has the policy, and how it is taken out.
func nameRoleOf(ctx context.Context, m login.Mount, refused *refusal.Refusal, policy, mount string, names []string) error {
	for _, name := range names {
		if name == "" {
			continue
		}
		r, err := m.Role(ctx, name)
		if err != nil {
			return err
		}
		if r == nil || r.ReservedPolicy() != policy {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(r.TokenPolicies), func(other string) bool {
			return binding.ReservedPolicy([]string{other}) != ""
		})
		refused.Reason = fmt.Sprintf("%s; the role %q has it in token_policies", refused.Reason, name)
		refused.Remedy = fmt.Sprintf("vault write %s token_policies=%s", shell.Word(mount+"role/"+name), shell.Word(strings.Join(others, ",")))
		return nil
	}
	return nil
}
