package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

func roleKey(name string) string { return rolePrefix + role.Key(name) }

// readRole reads a stored role, with the fields of old roles moved to those of
// today; nil if there is none.
func readRole(ctx context.Context, s logical.Storage, name string) (*role.Entry, error) {
	entry, err := s.Get(ctx, roleKey(name))
	if err != nil || entry == nil {
		return nil, err
	}
	r, err := role.Decode(entry.Value)
	if err != nil {
		return nil, unreadableRole(name, err)
	}
	return r, nil
}

func unreadableRole(name string, err error) error {
	return fmt.Errorf("the stored role %q cannot be read: %w", name, err)
}

// findRole returns the role of a login, or a refusal that names it as unknown. The name
// is looked at only where no role is remembered by just this one, which must be a good
// one then.
func (b *backend) findRole(ctx context.Context, s logical.Storage, name string) (*role.Role, error) {
	if r, ok := b.roles.Peek(name); ok {
		return r, nil
	}
	if len(name) > role.MaxNameBytes {
		// Vault's words without the name: what answers must not be as long as what asks.
		return nil, refusal.OfRequest("there is no role of that name", fmt.Sprintf("invalid role name: it has more than %d bytes", role.MaxNameBytes))
	}
	unknown := refusal.OfRequest("there is no role of that name", fmt.Sprintf("invalid role name %q", name))
	if !role.IsName(name) {
		return nil, unknown
	}
	if isRelative(name) {
		return nil, refusal.OfRequest(relativePath, relativePath)
	}
	r, err := b.roles.Get(ctx, s, role.Key(name))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, unknown
	}
	return r, nil
}

// loadRole is the cache's loader; last is the role as it was read before.
func (b *backend) loadRole(ctx context.Context, s logical.Storage, name string, last *role.Role) (*role.Role, error) {
	b.metrics.RoleLoads.Inc()
	found, err := s.Get(ctx, roleKey(name))
	if err != nil || found == nil {
		return nil, err
	}
	if last != nil && last.IsOf(found.Value) {
		return last, nil
	}
	r, selectorError, err := role.Compile(found.Value)
	if err != nil {
		return nil, unreadableRole(name, err)
	}
	if selectorError != nil {
		b.Logger().Warn("the namespace selector of a role cannot be parsed and matches nothing", "role", name, "error", selectorError)
	}
	return r, nil
}
