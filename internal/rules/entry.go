package rules

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/role"
)

// Prefix begins the keys of rules in storage, and their paths.
const Prefix = "binding-rule/"

// Entry is a binding rule as stored under binding-rule/<lower-case name>.
type Entry struct {
	Description string `json:"description"`
	Selector    string `json:"selector"`
	BindType    string `json:"bind_type"`
	BindName    string `json:"bind_name"`

	// BindVarName is the variable Name of a templated policy of Consul's.
	BindVarName string `json:"bind_var_name,omitempty"`

	UseServiceNameAnnotation bool `json:"use_service_name_annotation,omitempty"`
	// ImportedFrom is the auth method of Consul's that the rule was taken over from;
	// empty for a rule of the mount's own.
	ImportedFrom string `json:"imported_from,omitempty"`
}

// Rule is the rule to compile.
func (e *Entry) Rule(name string) binding.Rule {
	return binding.Rule{
		Name:        name,
		Description: e.Description,
		Selector:    e.Selector,
		BindType:    binding.BindType(e.BindType),
		BindName:    e.BindName,
		BindVarName: e.BindVarName,

		UseServiceNameAnnotation: e.UseServiceNameAnnotation,
	}
}

// Bounds of what is written, in bytes. Names stand in the metadata of tokens and in the
// log; a rule that was stored before goes on whatever it has.
const (
	MaxNameBytes        = 256
	MaxDescriptionBytes = 4 << 10
)

// TooLong says what of a rule that is written is too long; "" if nothing is.
func TooLong(name, description string) string {
	switch {
	case len(name) > MaxNameBytes:
		return fmt.Sprintf("name: %d bytes long, more than the %d that are allowed", len(name), MaxNameBytes)
	case len(description) > MaxDescriptionBytes:
		return fmt.Sprintf("description: %d bytes long, more than the %d that are allowed", len(description), MaxDescriptionBytes)
	}
	return ""
}

// Key is where a rule is stored.
func Key(name string) string { return Prefix + strings.ToLower(name) }

// ErrUnreadable is wrapped by errors about what is stored, and not about storage.
var ErrUnreadable = errors.New("the stored binding rule cannot be read")

// Read reads a stored rule; nil if there is none.
func Read(ctx context.Context, s logical.Storage, name string) (*Entry, error) {
	entry, err := s.Get(ctx, Key(name))
	if err != nil || entry == nil {
		return nil, err
	}
	return Decode(name, entry)
}

// Decode reads an entry of storage.
func Decode(name string, entry *logical.StorageEntry) (*Entry, error) {
	r := &Entry{}
	if err := entry.DecodeJSON(r); err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrUnreadable, name, err)
	}
	return r, nil
}

// Validate refuses a rule that cannot be, and, in what is written of selector and bind
// name, what was meant otherwise.
func (e *Entry) Validate(name string, selector, bindName bool) error {
	if e.BindType == "" {
		return errors.New("missing bind_type")
	}
	if e.BindName == "" {
		return errors.New("missing bind_name")
	}
	return binding.CheckWritten(e.Rule(name), selector, bindName)
}

// Roles says which there are.
type Roles interface {
	// Role is that of a name; nil if there is none.
	Role(ctx context.Context, name string) (*role.Role, error)
}

// MissingRole says that the role which a rule binds does not exist, "" if it does or
// its name is computed.
func (e *Entry) MissingRole(ctx context.Context, roles Roles) string {
	if e.BindType != string(binding.BindRole) || strings.Contains(e.BindName, "${") {
		return ""
	}
	r, err := roles.Role(ctx, e.BindName)
	if err != nil || r != nil {
		return "" // that a role cannot be read now is no fault of the rule's
	}
	return fmt.Sprintf("There is no role %q; logins skip it until there is. With only_by_binding_rules=true it needs no bounds of its own, and no login can name it.", e.BindName)
}

// RefusedRole says that each login ends which gets the role that a rule binds, or "".
func (e *Entry) RefusedRole(ctx context.Context, roles Roles) string {
	if e.BindType != string(binding.BindRole) || strings.Contains(e.BindName, "${") {
		return ""
	}
	bound, err := roles.Role(ctx, e.BindName)
	if err != nil || bound == nil || bound.ReservedPolicy() == "" {
		return ""
	}
	return fmt.Sprintf("The role %q %s. So is each login by rules that gets it.", e.BindName, role.PolicyRefused(bound.ReservedPolicy()))
}

// OnlyRead are the fields that a read returns and no write takes. e may be nil.
func (e *Entry) OnlyRead() map[string]any {
	from := ""
	if e != nil {
		from = e.ImportedFrom
	}
	return map[string]any{"imported_from": from}
}
