// Package importer takes a Kubernetes auth method of Consul over into a mount: what would be
// written, what keeps it from being done, what to warn of, and the writes, all or none.
package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/consul"
	"vault-plugin-auth-kubernetes/internal/role"
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

// Plan is what an import comes to.
type Plan struct {
	options Options
	method  string
	// stored is what the plan is made of.
	stored *readOnce
	Config *config.Entry
	Rules  []string // what happens to each, a line
	writes []plannedWrite
	// Left is what has no counterpart and is no rule.
	Left []string
	// Missing are the names of rules that an earlier import brought, and that Consul
	// has no more.
	Missing  []string
	warnings []warning
	// refused are the rules that cannot be taken over, a line each, and conflicts
	// what keeps the import from being done whatever its rules are.
	refused, conflicts []string
}

// Plan works out what to write, from what is stored now. It takes no lock, so
// what it found has to be looked at again before it is carried out. An error that is
// a Refusal says why nothing is to be written.
func (m *Mount) Plan(ctx context.Context, imported *consul.Import, options Options) (*Plan, error) {
	plan := &Plan{
		options: options, method: imported.Method, stored: newReadOnce(m.Storage),
		Rules: []string{}, Missing: []string{},
		Left: slices.Clone(imported.Left), refused: slices.Clone(imported.Refused),
	}
	before, err := config.Read(ctx, plan.stored)
	if err != nil {
		return nil, err
	}
	if err := m.planConfig(ctx, plan, before, imported.Config); err != nil {
		return nil, err
	}
	for _, rule := range imported.Rules {
		if err := m.planRule(ctx, plan, rule); err != nil {
			return nil, err
		}
	}
	if err := m.planMissing(ctx, plan, imported.Listed); err != nil {
		return nil, err
	}
	if before != nil {
		conflicts, err := m.changedMeanings(ctx, plan, before)
		if err != nil {
			return nil, err
		}
		plan.conflicts = append(plan.conflicts, conflicts...)
	}
	return plan.settle()
}

// settle refuses the plan if there is a reason to.
func (p *Plan) settle() (*Plan, error) {
	if p.options.SkipUnsupported {
		p.Left = append(p.Left, p.refused...)
	} else if len(p.refused) > 0 {
		return nil, Refusal(slices.Concat(p.conflicts, p.refused,
			[]string{fmt.Sprintf("%d rules cannot be taken over; with skip_unsupported_rules=true the others are", len(p.refused))}))
	}
	if len(p.conflicts) > 0 {
		return nil, Refusal(p.conflicts)
	}
	return p, nil
}

func (m *Mount) planConfig(ctx context.Context, plan *Plan, before *config.Entry, from consul.Config) error {
	c := &config.Entry{DisableISSValidation: true}
	if before != nil {
		*c = *before
	}
	takeOver(c, from)
	if _, err := c.TakeTexts(before, nil); err != nil {
		return Refusal{"auth_method: " + err.Error()}
	}
	if err := c.Validate(m.PodCA); err != nil {
		return Refusal{"auth_method: " + err.Error()}
	}
	plan.Config = c
	plan.Left = append(plan.Left, narrowerThanConsul(c)...)
	if before != nil && !plan.options.ReplaceConfiguration {
		plan.conflicts = append(plan.conflicts, replaces(c, before)...)
	}
	return plan.add(ctx, config.Path, c)
}

// takeOver sets what Consul's method has. It brings a reviewer's token of its own, so
// the files of a pod that Vault may run in are not used. What the method leaves open is
// kept where the cluster is the same.
func takeOver(c *config.Entry, from consul.Config) {
	sameHost := sameKubernetesHost(c.Host, from.Host)
	c.Host = from.Host
	if from.CACert != "" || !sameHost {
		c.CACert = from.CACert
	}
	if from.ReviewerJWT != "" || !sameHost {
		c.TokenReviewerJWT = from.ReviewerJWT
		c.DisableLocalCAJWT = true
	}
	c.ServiceNameAnnotation = consul.ServiceNameAnnotation
	c.MapNamespaces = from.MapNamespaces
	c.ConsulNamespacePrefix = from.NamespacePrefix
	c.ConsulNamespaceOverrides = from.NamespaceOverrides
	if !c.MapNamespaces {
		c.ConsulNamespacePrefix, c.ConsulNamespaceOverrides = "", nil
	}
}

func (m *Mount) planRule(ctx context.Context, plan *Plan, rule consul.Rule) error {
	entry := &rules.Entry{
		Description: rule.Description,
		Selector:    rule.Selector,
		BindType:    rule.BindType,
		BindName:    plan.options.prefixed(rule.BindType, rule.BindName),

		UseServiceNameAnnotation: true, // as it is with all rules of Consul's
		ImportedFrom:             plan.method,
	}
	if err := checkRuleName(rule.Name); err != nil {
		plan.refused = append(plan.refused, err.Error())
		return nil
	}
	if err := entry.Validate(rule.Name, true, true); err != nil {
		plan.refused = append(plan.refused, fmt.Sprintf("%s: %s", rule.Name, err))
		return nil
	}
	before, err := rules.Read(ctx, plan.stored, rule.Name)
	unreadable := errors.Is(err, rules.ErrUnreadable)
	if err != nil && !unreadable {
		return err
	}
	what := "create"
	switch {
	case unreadable:
		what = "update"
	case before == nil:
	case before.ImportedFrom != plan.method:
		plan.conflicts = append(plan.conflicts, fmt.Sprintf("%s: there is a binding rule of that name that no import of the auth method %q brought; delete it, or import into another mount", rule.Name, plan.method))
		return nil
	case *before == *entry:
		what = "unchanged"
	default:
		what = "update"
	}
	plan.Rules = append(plan.Rules, describeImported(what, rule.Name, entry))
	if err := m.warnOf(ctx, plan, rule.Name, entry, what == "unchanged"); err != nil {
		return err
	}
	return plan.add(ctx, rules.Key(rule.Name), entry)
}

func describeImported(what, name string, entry *rules.Entry) string {
	selector := entry.Selector
	if selector == "" {
		selector = "always"
	}
	return fmt.Sprintf("%s %s: %s %s if %s", what, name, entry.BindType, entry.BindName, selector)
}

func (o Options) prefixed(bindType, name string) string {
	switch binding.BindType(bindType) {
	case binding.BindPolicy:
		return o.PolicyPrefix + name
	case binding.BindRole:
		return o.RolePrefix + name
	}
	return name
}

// planMissing finds the rules that an earlier import of the method brought and that
// are not listed any more. A part of a list has none of the other parts, so they are
// deleted only where that was asked for.
func (m *Mount) planMissing(ctx context.Context, plan *Plan, listed []string) error {
	stored, err := m.Storage.List(ctx, rules.Prefix)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(listed))
	for _, name := range listed {
		known[name] = true
	}
	written := plan.keys()
	for _, name := range stored {
		if !strings.HasPrefix(name, consul.NamePrefix) || written[rules.Key(name)] {
			continue
		}
		if known[name] { // and not written, so it is one that is refused now
			plan.Left = append(plan.Left, name+": there is a binding rule of that name, which stays as it is")
			continue
		}
		entry, err := rules.Read(ctx, plan.stored, name)
		if errors.Is(err, rules.ErrUnreadable) {
			continue // nobody knows whose it is
		}
		if err != nil {
			return err
		}
		if entry == nil || entry.ImportedFrom != plan.method {
			continue
		}
		plan.Missing = append(plan.Missing, name)
		if !plan.options.RemoveMissing {
			plan.warn(name, goneFromConsul, fmt.Sprintf("%s %.64s", entry.BindType, entry.BindName),
				fmt.Sprintf(": an earlier import brought it, binding_rules has it no more, and it goes on granting %s %s; remove_missing=true deletes it", entry.BindType, entry.BindName))
			continue
		}
		plan.Rules = append(plan.Rules, describeImported("delete", name, entry))
		if err := plan.add(ctx, rules.Key(name), nil); err != nil {
			return err
		}
	}
	return nil
}

// checkRuleName refuses an ID of Consul's that cannot be a name here. It is in the
// import alone that names do not come from the path.
func checkRuleName(name string) error {
	if !role.IsName(name) {
		return fmt.Errorf("%.64q: the ID cannot be the name of a binding rule", name)
	}
	return nil
}
