package binding

import (
	"context"
	"slices"
	"strings"
)

// Bind joins what all rules that match grant to a Vault token. A rule that matches and
// computes a name that is not valid fails the whole login with an *InvalidNameError; of
// several, the first by name. Other errors are fetch's and the context's, as they
// are. No lock is held while fetch runs; rules that are written meanwhile do not
// count.
func (s *RuleSet) Bind(ctx context.Context, attrs *RuleAttributes, fetch Fetch) (Grants, error) {
	var grants Grants
	err := s.binder(ctx, classVault, attrs, fetch).join(grants.add)
	if err != nil {
		return Grants{}, err
	}
	grants.sort()
	return grants, nil
}

// BindConsul is Bind for a Consul token, to which the rules of other types are nothing.
func (s *RuleSet) BindConsul(ctx context.Context, attrs *RuleAttributes, fetch Fetch) (ConsulGrants, error) {
	var grants ConsulGrants
	err := s.binder(ctx, classConsul, attrs, fetch).join(grants.add)
	if err != nil {
		return ConsulGrants{}, err
	}
	grants.sort()
	return grants, nil
}

// join hands on what each rule that matches grants.
func (b *binder) join(add func(rule Rule, name string)) error {
	defer b.attrs.plain.effort.giveBack()
	if err := b.match(); err != nil {
		return err
	}
	for _, e := range b.matched {
		name, err := b.name(e)
		if err != nil {
			return err
		}
		add(e.rule.rule, name)
	}
	return nil
}

// binder is one evaluation of a snapshot of the rules.
type binder struct {
	rules *snapshot
	class class
	attrs *RuleAttributes
	ask   func(Source) error
	pay   func() error // for what was evaluated

	matched []*entry
	// pending depend on more than one source that is still unknown, and so on
	// no single one for certain.
	pending []*entry
	// considered counts evaluations.
	considered int
}

func (s *RuleSet) binder(ctx context.Context, of class, attrs *RuleAttributes, fetch Fetch) *binder {
	return &binder{
		rules: s.snapshot.Load(),
		class: of,
		attrs: attrs,
		ask:   func(source Source) error { return attrs.plain.fetch(ctx, fetch, source) },
		pay:   func() error { return attrs.plain.effort.pay(ctx) },
	}
}

// viewOf is what a rule is evaluated on.
func (b *binder) viewOf(rule *entry) *view {
	if rule.overriding {
		return &b.attrs.overriding
	}
	return &b.attrs.plain
}

// match finds the rules that match, by name.
func (b *binder) match() error {
	if err := b.matchPlain(); err != nil {
		return err
	}
	if err := b.matchOverriding(); err != nil {
		return err
	}
	return b.settle()
}

func (b *binder) matchPlain() error {
	v := &b.attrs.plain
	if err := b.consider(byAccount(b.class.plain, v), nil); err != nil {
		return err
	}
	return b.consider(byOther(b.class.plain, v), nil)
}

// matchOverriding considers the rules for which an annotation may replace the name.
// Those that pin serviceaccount.name are known only once it is; until one of them
// needs it, all of the namespace and all that name no namespace are considered, and
// none of them can match.
func (b *binder) matchOverriding() error {
	if b.rules.overriding == 0 {
		return nil
	}
	v := &b.attrs.overriding
	if err := b.considerUnnamed(v); err != nil {
		return err
	}
	if !v.nameUnknown() {
		if err := b.consider(byAccount(b.class.overriding, v), nil); err != nil {
			return err
		}
	}
	return b.consider(byOther(b.class.overriding, v), nil)
}

// considerUnnamed looks for a rule that needs the name. What it finds before the name
// is known cannot match, and what it finds with it is found again.
func (b *binder) considerUnnamed(v *view) error {
	if !v.nameUnknown() {
		return nil
	}
	matched, pending := len(b.matched), len(b.pending)
	if err := b.consider(byAccount(b.class.overriding, v), v.nameUnknown); err != nil || v.nameUnknown() {
		return err
	}
	b.matched, b.pending = b.matched[:matched], b.pending[:pending]
	return nil
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

// evaluate evaluates one rule. If it depends on one source, that source is needed
// whatever the other rules say, and is asked for at once.
func (b *binder) evaluate(rule *entry) error {
	b.considered++
	b.attrs.plain.effort.steps += ruleSteps
	if err := b.pay(); err != nil {
		return err
	}
	v := b.viewOf(rule)
	verdict := rule.root.eval(v)
	for verdict.Needs != 0 {
		source, only := verdict.Needs.single()
		if !only {
			b.pending = append(b.pending, rule)
			return nil
		}
		if err := b.ask(source); err != nil {
			return err
		}
		verdict = rule.root.eval(v)
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
		needs := rule.root.eval(b.viewOf(rule)).Needs
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
func (b *binder) name(e *entry) (string, error) {
	rule, v := e.rule, b.viewOf(e)
	for needs := rule.template.missing(v); needs != 0; needs = rule.template.missing(v) {
		if err := b.ask(needs.first()); err != nil {
			return "", err
		}
	}
	name, reason := rule.template.render(v)
	if reason != "" {
		return "", &InvalidNameError{Rule: rule.rule.Name, BindType: rule.rule.BindType, Name: name, Reason: reason}
	}
	return name, nil
}
