package binding

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a selector. They keep what one rule costs, when it is loaded and at
// each login, in proportion to what anyone writes by hand.
const (
	maxSelectorBytes = 4 << 10
	maxComparisons   = 128
	// maxDepth bounds the nesting of parentheses and nots.
	maxDepth = 32
)

// Selector is a compiled expression over attributes. It is immutable and safe
// for concurrent use.
type Selector struct {
	text string
	root node
}

// Everything is the selector that says in so many words that it selects everything.
const Everything = "*"

// CompileSelector reads an expression in go-bexpr's grammar. The empty text
// selects everything, as in Consul, and so does *. The error is an *InputError.
func CompileSelector(text string) (*Selector, error) { return compileSelector(text, false) }

// CompileWrittenSelector is CompileSelector for one that is being written: it refuses as
// well what can be read and was certainly meant otherwise, such as a value with *.
func CompileWrittenSelector(text string) (*Selector, error) { return compileSelector(text, true) }

func compileSelector(text string, written bool) (*Selector, error) {
	selector, err := parseSelector(text, written)
	var input *InputError
	if errors.As(err, &input) && input.Column > 0 {
		input.Write = rewritten(text)
	}
	return selector, err
}

func parseSelector(text string, written bool) (*Selector, error) {
	if text == "" || strings.TrimSpace(text) == Everything {
		return &Selector{text: text, root: all{}}, nil
	}
	if len(text) > maxSelectorBytes {
		return nil, &InputError{Field: "selector", Reason: fmt.Sprintf("%d bytes long, more than the %d that are allowed", len(text), maxSelectorBytes)}
	}
	if !utf8.ValidString(text) {
		return nil, &InputError{Field: "selector", Reason: "not valid UTF-8"}
	}
	p := parser{scanner: scanner{text: text}, instructions: maxRegexpInstructions, written: written}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	return &Selector{text: text, root: root}, nil
}

// String returns the text that was compiled.
func (s *Selector) String() string { return s.text }

// Verdict is what an expression says of attributes some of which may not be
// known yet.
type Verdict struct {
	// Matched means that the expression holds, whatever is still unknown.
	Matched bool
	// Needs are the sources that the outcome depends on. While there are any,
	// the expression neither matched nor failed.
	Needs Sources
	// Unusable means that the outcome depends on a value that is too long to be
	// searched: the expression does not match, and neither does its negation.
	Unusable bool
}

// Evaluate tells whether the attributes match. Binding rules, which may see
// another serviceaccount.name, are evaluated by RuleSet.Bind.
func (s *Selector) Evaluate(attrs *Attributes) Verdict {
	return s.root.eval(&view{Attributes: attrs})
}

// Match tells whether the attributes match, and fetches what the outcome depends
// on. An error is fetch's.
func (s *Selector) Match(ctx context.Context, attrs *Attributes, fetch Fetch) (bool, error) {
	defer attrs.effort.giveBack()
	for {
		verdict := s.Evaluate(attrs)
		if err := attrs.effort.pay(ctx); err != nil {
			return false, err
		}
		if verdict.Needs == 0 {
			return verdict.Matched, nil
		}
		if err := attrs.fetch(ctx, fetch, verdict.Needs.first()); err != nil {
			return false, err
		}
	}
}

// Mismatch tells in words why the attributes do not match; it is for a human to
// read. It is empty if they do.
func (s *Selector) Mismatch(attrs *Attributes) string {
	return mismatch(s.root, &view{Attributes: attrs})
}

func mismatch(root node, v *view) string {
	if root.eval(v).Matched {
		return ""
	}
	return root.why(v)
}
