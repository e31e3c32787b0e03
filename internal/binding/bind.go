package binding

import (
	"context"
	"slices"
	"strings"
)

// Bind joins what all rules that match grant. A rule that matches and computes a
// name that is not valid fails the whole login with an *InvalidNameError; of
// several, the first by name. Other errors are fetch's and the context's, as they
// are. No lock is held while fetch runs; rules that are written meanwhile do not
// count.
func (s *RuleSet) Bind(ctx context.Context, attrs *RuleAttributes, fetch Fetch) (Grants, error) {
	b := s.binder(ctx, attrs, fetch)
	if err := b.match(); err != nil {
		return Grants{}, err
	}
	var grants Grants
	for _, e := range b.matched {
		name, err := b.name(e.rule)
		if err != nil {
			return Grants{}, err
		}
		grants.add(e.rule.rule, name)
	}
	grants.sort()
	return grants, nil
}

// binder is one evaluation of a snapshot of the rules.
type binder struct {
	rules *snapshot
	view  *view
	ask   func(Source) error
	done  func() error

	matched []*entry
	// pending depend on more than one source that is still unknown, and so on
	// no single one for certain.
	pending []*entry
	// considered counts evaluations.
	considered int
}

func (s *RuleSet) binder(ctx context.Context, attrs *RuleAttributes, fetch Fetch) *binder {
	return &binder{
		rules: s.snapshot.Load(),
		view:  &attrs.view,
		ask:   func(source Source) error { return attrs.view.fetch(ctx, fetch, source) },
		done:  ctx.Err,
	}
}

// match finds the rules that match, by name.
func (b *binder) match() error {
	if err := b.matchByAccount(); err != nil {
		return err
	}
	if err := b.consider(byOther(b.view), nil); err != nil {
		return err
	}
	return b.settle()
}

// matchByAccount considers the rules that pin serviceaccount.name. If an
// annotation may replace the name, the rules to consider are known only once it
// is; until one of them needs it, all of the namespace and all that name no
// namespace are considered, and none of them can match.
func (b *binder) matchByAccount() error {
	if b.view.nameUnknown() {
		if err := b.consider(byAccount(b.view), b.view.nameUnknown); err != nil || b.view.nameUnknown() {
			return err
		}
		b.matched, b.pending = nil, nil
	}
	return b.consider(byAccount(b.view), nil)
}

// consider evaluates the rules under the prefixes, while the condition holds if
// there is one.
func (b *binder) consider(prefixes []string, while func() bool) (err error) {
	more := true
	for _, prefix := range prefixes {
		b.rules.walk(prefix, func(e *entry) bool {
			err = b.evaluate(e)
			more = err == nil && (while == nil || while())
			return more
		})
		if !more {
			return err
		}
	}
	return nil
}

// checkEvery is how many rules are evaluated between two looks at the deadline.
const checkEvery = 256

// evaluate evaluates one rule. If it depends on one source, that source is needed
// whatever the other rules say, and is asked for at once.
func (b *binder) evaluate(rule *entry) error {
	if b.considered++; b.considered%checkEvery == 0 {
		if err := b.done(); err != nil {
			return err
		}
	}
	verdict := rule.root.eval(b.view)
	for verdict.Needs != 0 {
		source, only := verdict.Needs.single()
		if !only {
			b.pending = append(b.pending, rule)
			return nil
		}
		if err := b.ask(source); err != nil {
			return err
		}
		verdict = rule.root.eval(b.view)
	}
	if verdict.Matched {
		b.matched = append(b.matched, rule)
	}
	return nil
}

// settle decides the rules that depend on several sources: other rules may have
// had one of them asked for since, and otherwise one is asked for now. It leaves
// the rules that matched sorted by name.
func (b *binder) settle() error {
	for len(b.pending) > 0 {
		last := len(b.pending) - 1
		rule := b.pending[last]
		b.pending = b.pending[:last]
		needs := rule.root.eval(b.view).Needs
		if _, only := needs.single(); needs != 0 && !only {
			if err := b.ask(needs.first()); err != nil {
				return err
			}
		}
		if err := b.evaluate(rule); err != nil {
			return err
		}
	}
	slices.SortFunc(b.matched, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	return nil
}

// name computes what a rule that matched grants.
func (b *binder) name(rule *CompiledRule) (string, error) {
	for needs := rule.template.missing(b.view); needs != 0; needs = rule.template.missing(b.view) {
		if err := b.ask(needs.first()); err != nil {
			return "", err
		}
	}
	name, reason := rule.template.render(b.view)
	if reason != "" {
		return "", &InvalidNameError{Rule: rule.rule.Name, BindType: rule.rule.BindType, Name: name, Reason: reason}
	}
	return name, nil
}
