package importer

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/tokenutil"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/consul"
	"vault-plugin-auth-kubernetes/internal/role"
)

// planRole plans a role with the name of the auth method, under which the imported rules
// decide: clients name it where they named the method in Consul, and many cannot log in
// without naming one. A role that is there stays as it is.
func (m *Mount) planRole(ctx context.Context, plan *Plan, imported *consul.Import) error {
	if !imported.ForVault() {
		return nil // in Consul, tokens are had by the name of the method itself
	}
	name := imported.Method
	notMade := func(format string, args ...any) {
		plan.Left = append(plan.Left, fmt.Sprintf("the name of the auth method, %.64q, as a role for clients that have to name one: %s", name, fmt.Sprintf(format, args...)))
	}
	if !role.IsName(name) || strings.Contains(name, "..") {
		notMade("no role can have it; write one with use_binding_rules=true")
		return nil
	}
	for _, rule := range imported.Rules {
		bound := plan.options.prefixed(rule.BindType, rule.BindName)
		if binding.BindType(rule.BindType) == binding.BindRole && role.Key(bound) == role.Key(name) {
			notMade("%s binds a role of that name", rule.Name)
			return nil
		}
	}
	before, err := role.Read(ctx, plan.stored, name)
	switch {
	case err != nil:
		return err
	case before == nil:
		plan.Role = "create " + role.Key(name)
	case before.UseBindingRules:
		plan.Role = "unchanged " + role.Key(name)
		return nil
	default:
		notMade("the mount has a role of that name, which decides by itself; write one with use_binding_rules=true, and let clients name that")
		return nil
	}
	return plan.add(ctx, role.StorageKey(name), &role.Entry{
		TokenParams:     tokenutil.TokenParams{TokenMaxTTL: imported.MaxTokenTTL},
		AliasNameSource: role.AliasNameSourceUID, UseBindingRules: true,
	})
}
