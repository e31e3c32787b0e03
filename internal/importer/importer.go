// Package importer takes a Kubernetes auth method of Consul over into a mount: what would be
// written, what keeps it from being done, what to warn of, and the writes, all or none.
package importer

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/consul"
	"vault-plugin-auth-kubernetes/internal/rules"
)

// Mount is what is imported into.
type Mount struct {
	Storage logical.Storage
	Rules   *rules.Store
	Roles   rules.Roles
	// PodCA reads the CA bundle of the pod that Vault is in.
	PodCA func() (string, error)
	// Change lets run change the entries under keys.
	Change func(ctx context.Context, s logical.Storage, keys []string, run func(s logical.Storage) error) error
}

// Options are what the caller of an import asks for by name.
type Options struct {
	DryRun, SkipUnsupported, RemoveMissing, ReplaceConfiguration bool
	PolicyPrefix, RolePrefix                                     string
}

// Refusal says why nothing is written, a line for each reason.
type Refusal []string

func (r Refusal) Error() string {
	return "nothing was written:\n" + strings.Join(r, "\n")
}

// Run plans an import and, unless it is only to be told, carries it out. An error that is a
// Refusal says why nothing was written.
func Run(ctx context.Context, m *Mount, imported *consul.Import, options Options) (*Plan, error) {
	plan, err := m.Plan(ctx, imported, options)
	if err == nil && !options.DryRun {
		err = m.CarryOut(ctx, plan)
	}
	return plan, err
}

// Warnings are what the answer warns of, a line for each kind.
func (p *Plan) Warnings() []string { return toldByKind(p.warnings) }
