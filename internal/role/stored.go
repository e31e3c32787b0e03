package role

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"
)

// Prefix begins the keys of roles in storage, and their paths.
const Prefix = "role/"

// StorageKey is where a role is stored.
func StorageKey(name string) string { return Prefix + Key(name) }

// Read reads a stored role, with the fields of old roles moved to those of
// today; nil if there is none.
func Read(ctx context.Context, s logical.Storage, name string) (*Entry, error) {
	entry, err := s.Get(ctx, StorageKey(name))
	if err != nil || entry == nil {
		return nil, err
	}
	r, err := Decode(entry.Value)
	if err != nil {
		return nil, unreadable(name, err)
	}
	return r, nil
}

// Load reads a role for logins; nil if there is none. Where storage holds what last was
// read from, that is the role. selectorError is why the namespace selector of a role that
// was read anew matches nothing.
func Load(ctx context.Context, s logical.Storage, name string, last *Role) (r *Role, selectorError, err error) {
	found, err := s.Get(ctx, StorageKey(name))
	if err != nil || found == nil {
		return nil, nil, err
	}
	if last != nil && last.IsOf(found.Value) {
		return last, nil, nil
	}
	if r, selectorError, err = Compile(found.Value); err != nil {
		return nil, nil, unreadable(name, err)
	}
	return r, selectorError, nil
}

func unreadable(name string, err error) error {
	return fmt.Errorf("the stored role %q cannot be read: %w", name, err)
}
