package importer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vault-plugin-auth-kubernetes/internal/consul"
	"vault-plugin-auth-kubernetes/internal/rules"
)

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
		plan.Rules[name] = describeImported("delete", entry)
		if err := plan.add(ctx, rules.Key(name), nil); err != nil {
			return err
		}
	}
	return nil
}
