package main

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
)

// importPlan is what an import comes to.
type importPlan struct {
	options importOptions
	method  string
	// stored is what the plan is made of.
	stored *readOnce
	config *config.Entry
	rules  []string // what happens to each, a line
	writes []plannedWrite
	left   []string
	// missing are the names of rules that an earlier import brought, and that Consul
	// has no more.
	missing  []string
	warnings []importWarning
	// refused are the rules that cannot be taken over, a line each, and conflicts
	// what keeps the import from being done whatever its rules are.
	refused, conflicts []string
}

// planImport works out what to write, from what is stored now. It takes no lock, so
// what it found has to be looked at again before it is carried out. An error that is
// an importRefusal says why nothing is to be written.
func (b *backend) planImport(ctx context.Context, s logical.Storage, imported *consul.Import, options importOptions) (*importPlan, error) {
	plan := &importPlan{
		options: options, method: imported.Method, stored: newReadOnce(s),
		rules: []string{}, missing: []string{},
		left: slices.Clone(imported.Left), refused: slices.Clone(imported.Refused),
	}
	before, err := config.Read(ctx, plan.stored)
	if err != nil {
		return nil, err
	}
	if err := b.planConfig(ctx, plan, before, imported.Config); err != nil {
		return nil, err
	}
	for _, rule := range imported.Rules {
		if err := b.planRule(ctx, s, plan, rule); err != nil {
			return nil, err
		}
	}
	if err := b.planMissing(ctx, s, plan, imported.Listed); err != nil {
		return nil, err
	}
	if before != nil {
		conflicts, err := b.changedMeanings(ctx, s, plan, before)
		if err != nil {
			return nil, err
		}
		plan.conflicts = append(plan.conflicts, conflicts...)
	}
	return plan.settle()
}

// settle refuses the plan if there is a reason to.
func (p *importPlan) settle() (*importPlan, error) {
	if p.options.skipUnsupported {
		p.left = append(p.left, p.refused...)
	} else if len(p.refused) > 0 {
		return nil, importRefusal(slices.Concat(p.conflicts, p.refused,
			[]string{fmt.Sprintf("%d rules cannot be taken over; with skip_unsupported_rules=true the others are", len(p.refused))}))
	}
	if len(p.conflicts) > 0 {
		return nil, importRefusal(p.conflicts)
	}
	return p, nil
}

func (b *backend) planConfig(ctx context.Context, plan *importPlan, before *config.Entry, from consul.Config) error {
	c := &config.Entry{DisableISSValidation: true}
	if before != nil {
		*c = *before
	}
	takeOver(c, from)
	if _, err := c.TakeTexts(before, nil); err != nil {
		return importRefusal{"auth_method: " + err.Error()}
	}
	if err := c.Validate(b.podCA.Read); err != nil {
		return importRefusal{"auth_method: " + err.Error()}
	}
	plan.config = c
	plan.left = append(plan.left, narrowerThanConsul(c)...)
	if before != nil && !plan.options.replaceConfiguration {
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

func (b *backend) planRule(ctx context.Context, s logical.Storage, plan *importPlan, rule consul.Rule) error {
	entry := &ruleEntry{
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
	if err := entry.validate(rule.Name, true, true); err != nil {
		plan.refused = append(plan.refused, fmt.Sprintf("%s: %s", rule.Name, err))
		return nil
	}
	before, err := readRule(ctx, plan.stored, rule.Name)
	unreadable := errors.Is(err, errUnreadable)
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
	plan.rules = append(plan.rules, describeImported(what, rule.Name, entry))
	if err := b.warnOf(ctx, s, plan, rule.Name, entry, what == "unchanged"); err != nil {
		return err
	}
	return plan.add(ctx, ruleKey(rule.Name), entry)
}

func describeImported(what, name string, entry *ruleEntry) string {
	selector := entry.Selector
	if selector == "" {
		selector = "always"
	}
	return fmt.Sprintf("%s %s: %s %s if %s", what, name, entry.BindType, entry.BindName, selector)
}

func (o importOptions) prefixed(bindType, name string) string {
	switch binding.BindType(bindType) {
	case binding.BindPolicy:
		return o.policyPrefix + name
	case binding.BindRole:
		return o.rolePrefix + name
	}
	return name
}

// planMissing finds the rules that an earlier import of the method brought and that
// are not listed any more. A part of a list has none of the other parts, so they are
// deleted only where that was asked for.
func (b *backend) planMissing(ctx context.Context, s logical.Storage, plan *importPlan, listed []string) error {
	stored, err := s.List(ctx, rulePrefix)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(listed))
	for _, name := range listed {
		known[name] = true
	}
	written := plan.keys()
	for _, name := range stored {
		if !strings.HasPrefix(name, consul.NamePrefix) || written[ruleKey(name)] {
			continue
		}
		if known[name] { // and not written, so it is one that is refused now
			plan.left = append(plan.left, name+": there is a binding rule of that name, which stays as it is")
			continue
		}
		entry, err := readRule(ctx, plan.stored, name)
		if errors.Is(err, errUnreadable) {
			continue // nobody knows whose it is
		}
		if err != nil {
			return err
		}
		if entry == nil || entry.ImportedFrom != plan.method {
			continue
		}
		plan.missing = append(plan.missing, name)
		if !plan.options.removeMissing {
			plan.warn(name, goneFromConsul, fmt.Sprintf("%s %.64s", entry.BindType, entry.BindName),
				fmt.Sprintf(": an earlier import brought it, binding_rules has it no more, and it goes on granting %s %s; remove_missing=true deletes it", entry.BindType, entry.BindName))
			continue
		}
		plan.rules = append(plan.rules, describeImported("delete", name, entry))
		if err := plan.add(ctx, ruleKey(name), nil); err != nil {
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
