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

// name finds the role that a login names, which decides, or says that binding rules do.
func (d *decision) name(ctx context.Context, name string) error {
	r, err := named(ctx, d.mount, name)
	switch {
	case err != nil:
		return err
	case r.UseBindingRules:
		d.ByRules, d.named = true, &Through{Role: r, Name: role.Key(name)}
	default:
		d.Role = r
	}
	return nil
}
