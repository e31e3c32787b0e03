package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/rules"
)

const rulePrefix = "binding-rule/"

// ruleEntry is a binding rule as stored under binding-rule/<lower-case name>.
type ruleEntry struct {
	Description string `json:"description"`
	Selector    string `json:"selector"`
	BindType    string `json:"bind_type"`
	BindName    string `json:"bind_name"`

	UseServiceNameAnnotation bool `json:"use_service_name_annotation,omitempty"`
	// ImportedFrom is the auth method of Consul's that the rule was taken over from;
	// empty for a rule of the mount's own.
	ImportedFrom string `json:"imported_from,omitempty"`
}

func (e *ruleEntry) rule(name string) binding.Rule {
	return binding.Rule{
		Name:        name,
		Description: e.Description,
		Selector:    e.Selector,
		BindType:    binding.BindType(e.BindType),
		BindName:    e.BindName,

		UseServiceNameAnnotation: e.UseServiceNameAnnotation,
	}
}

func ruleKey(name string) string { return rulePrefix + strings.ToLower(name) }

// errUnreadable is wrapped by errors about what is stored, and not about storage.
var errUnreadable = errors.New("the stored binding rule cannot be read")

// readRule reads a stored rule; nil if there is none.
func readRule(ctx context.Context, s logical.Storage, name string) (*ruleEntry, error) {
	entry, err := s.Get(ctx, ruleKey(name))
	if err != nil || entry == nil {
		return nil, err
	}
	return decodeRule(name, entry)
}

func decodeRule(name string, entry *logical.StorageEntry) (*ruleEntry, error) {
	r := &ruleEntry{}
	if err := entry.DecodeJSON(r); err != nil {
		return nil, fmt.Errorf("%w: %q: %w", errUnreadable, name, err)
	}
	return r, nil
}

// newRules makes the store of the mount's rules.
func (b *backend) newRules() *rules.Store {
	return rules.New(b.ctx, rules.Options{
		Prefix: rulePrefix,
		Decode: func(name string, stored []byte) (binding.Rule, error) {
			entry, err := decodeRule(name, &logical.StorageEntry{Value: stored})
			if err != nil {
				return binding.Rule{}, err
			}
			return entry.rule(name), nil
		},
		Timeout: storageReadTimeout,
		Now:     b.time,
		Unusable: func(name string, err error) {
			b.Logger().Warn("a stored binding rule cannot be used and matches nothing", "rule", name, "error", err)
		},
		Read: func() { b.metrics.RuleLoads.Inc() },
	})
}
