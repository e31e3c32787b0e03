package login

import (
	"context"
	"fmt"
	"strings"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// RelativePath is in the words of the host's storage.
const RelativePath = "relative paths not supported"

// named returns the role of a login, or a refusal that names it as unknown. The name
// is looked at only where no role is remembered by just this one.
func named(ctx context.Context, m Mount, name string) (*role.Role, error) {
	if r, ok := m.Remembered(name); ok {
		return r, nil
	}
	const reason = "there is no role of that name"
	if len(name) > role.MaxNameBytes {
		// Vault's words without the name: what answers must not be as long as what asks.
		return nil, refusal.OfRequest(reason, fmt.Sprintf("invalid role name: it has more than %d bytes", role.MaxNameBytes))
	}
	unknown := refusal.OfRequest(reason, fmt.Sprintf("invalid role name %q", name))
	if !role.IsName(name) {
		return nil, unknown
	}
	if strings.Contains(name, "..") {
		return nil, refusal.OfRequest(RelativePath, RelativePath)
	}
	r, err := m.Role(ctx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, unknown
	}
	return r, nil
}

// ruleRole is the role that every login by rules goes through; nil if the
// configuration names none. One that is not there must not let everybody pass.
func ruleRole(ctx context.Context, m Mount, name string) (*role.Role, error) {
	if name == "" {
		return nil, nil
	}
	r, err := m.Role(ctx, name)
	if err == nil && r == nil {
		err = &refusal.Refusal{
			Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration,
			Reason: fmt.Sprintf("there is no role %q, which binding_rule_role names", name),
			Remedy: "write the role, or patch binding_rule_role in the configuration",
		}
	}
	return r, err
}
