package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/consul"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/rules"
)

// Plan is what an import comes to.
type Plan struct {
	options Options
	method  string
	// stored is what the plan is made of.
	stored *readOnce
	Config *config.Entry
	Rules  map[string]string // what happens to each, by its name
	Role   string            // what happens to the one with the name of the auth method; "" if none is made
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
		Rules: map[string]string{}, Missing: []string{},
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
	if err := m.planRole(ctx, plan, imported); err != nil {
		return nil, err
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

func (m *Mount) planRule(ctx context.Context, plan *Plan, rule consul.Rule) error {
	entry := &rules.Entry{
		Description: rule.Description,
		Selector:    rule.Selector,
		BindType:    rule.BindType,
		BindName:    plan.options.prefixed(rule.BindType, rule.BindName),
		BindVarName: rule.BindVarName,

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
	plan.Rules[rule.Name] = describeImported(what, entry)
	if err := m.warnOf(ctx, plan, rule.Name, entry, what == "unchanged"); err != nil {
		return err
	}
	return plan.add(ctx, rules.Key(rule.Name), entry)
}

func describeImported(what string, entry *rules.Entry) string {
	selector := entry.Selector
	if selector == "" {
		selector = "always"
	}
	return fmt.Sprintf("%s: %s %s if %s", what, entry.BindType, entry.BindName, selector)
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

// checkRuleName refuses an ID of Consul's that cannot be a name here. It is in the
// import alone that names do not come from the path.
func checkRuleName(name string) error {
	if !role.IsName(name) {
		return fmt.Errorf("%.64q: the ID cannot be the name of a binding rule", name)
	}
	return nil
}
