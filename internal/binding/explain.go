package binding

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// Outcome is what became of a rule in one login.
type Outcome string

// The outcomes of a rule.
const (
	// Matched: the rule granted a name.
	Matched Outcome = "matched"
	// NotMatched: the selector does not select the identity.
	NotMatched Outcome = "not matched"
	// InvalidName: the rule matched, and computes no valid name, which fails
	// the login.
	InvalidName Outcome = "invalid name"
	// Broken: the stored rule cannot be compiled and matches nothing.
	Broken Outcome = "broken"
)

// Explanation tells of one rule what became of it.
type Explanation struct {
	Rule     string
	BindType BindType // empty if the rule is broken
	// UseServiceNameAnnotation is the rule's own.
	UseServiceNameAnnotation bool
	Outcome                  Outcome
	// Name is what was granted; empty unless the rule matched.
	Name string
	// Reason says why the rule granted nothing; empty if it matched. It may
	// quote the values of attributes.
	Reason string
}

// Explain is Bind with an account of every rule, by name. It evaluates all rules,
// without the index, and goes on after a name that is not valid; grants and error
// are those of Bind. If a fetch failed, the account ends where it did; it is empty
// if that was before every selector was decided.
func (s *RuleSet) Explain(ctx context.Context, attrs *RuleAttributes, fetch Fetch) ([]Explanation, Grants, error) {
	var grants Grants
	account, err := s.binder(ctx, classVault, attrs, fetch).account(grants.add)
	if err != nil {
		return account, Grants{}, err
	}
	grants.sort()
	return account, grants, nil
}

// ExplainConsul is BindConsul with an account of every rule of its types, as Explain is
// Bind.
func (s *RuleSet) ExplainConsul(ctx context.Context, attrs *RuleAttributes, fetch Fetch) ([]Explanation, ConsulGrants, error) {
	var grants ConsulGrants
	account, err := s.binder(ctx, classConsul, attrs, fetch).account(grants.add)
	if err != nil {
		return account, ConsulGrants{}, err
	}
	grants.sort()
	return account, grants, nil
}

func (b *binder) account(add func(rule Rule, name string)) ([]Explanation, error) {
	defer b.attrs.plain.effort.giveBack()
	entries := slices.DeleteFunc(b.rules.all(), func(e *entry) bool { return !b.class.has(e) })
	if err := b.matchAll(entries); err != nil {
		return nil, err
	}
	var failure error
	explanations := make([]Explanation, len(entries))
	for i, e := range entries {
		explanation, err := b.explain(e)
		var invalid *InvalidNameError
		if err != nil && !errors.As(err, &invalid) {
			return explanations[:i], cmp.Or(failure, err)
		}
		failure = cmp.Or(failure, err)
		if explanation.Outcome == Matched {
			add(e.rule.rule, explanation.Name)
		}
		explanations[i] = explanation
	}
	return explanations, failure
}

// has tells whether the rule is of the class. One that cannot be read may be of any.
func (c class) has(e *entry) bool {
	return e.rule == nil || e.rule.rule.BindType.ForConsul() == (c == classConsul)
}

// all returns every entry, by name.
func (s *snapshot) all() []*entry {
	entries := make([]*entry, 0, s.count)
	s.walk(keyName, func(e *entry) bool {
		entries = append(entries, e)
		return true
	})
	return entries
}

// matchAll is match without the index.
func (b *binder) matchAll(entries []*entry) error {
	for _, e := range entries {
		if e.rule == nil {
			continue
		}
		if err := b.evaluate(e); err != nil {
			return err
		}
	}
	return b.settle()
}

// explain tells what became of a rule. Every selector is decided.
func (b *binder) explain(e *entry) (Explanation, error) {
	explanation := Explanation{Rule: e.name}
	if e.rule == nil {
		explanation.Outcome, explanation.Reason = Broken, e.err.Error()
		return explanation, nil
	}
	explanation.BindType, explanation.UseServiceNameAnnotation = e.rule.rule.BindType, e.overriding
	if err := b.pay(); err != nil {
		return explanation, err
	}
	if reason := mismatch(e.root, b.viewOf(e)); reason != "" {
		explanation.Outcome, explanation.Reason = NotMatched, reason
		return explanation, nil
	}
	name, err := b.name(e)
	if err != nil {
		explanation.Outcome, explanation.Reason = InvalidName, err.Error()
		return explanation, err
	}
	explanation.Outcome, explanation.Name = Matched, name
	return explanation, nil
}
