package binding

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// node is a compiled expression. Its logic has three values, Kleene's: an
// operand that is not known yet leaves the outcome open only where the outcome
// depends on it.
type node interface {
	eval(*view) Verdict
	// why tells in words why the node does not match.
	why(*view) string
}

// open is a verdict that counts once nothing is needed any more.
func open(verdict Verdict, needs Sources) Verdict {
	if needs != 0 {
		return Verdict{Needs: needs}
	}
	return verdict
}

// all is the empty expression.
type all struct{}

func (all) eval(*view) Verdict { return Verdict{Matched: true} }
func (all) why(*view) string   { return "" }

type and []node

func (n and) eval(v *view) Verdict {
	var needs Sources
	unusable := false
	for _, operand := range n {
		verdict := operand.eval(v)
		if verdict == (Verdict{}) {
			return verdict
		}
		needs |= verdict.Needs
		unusable = unusable || verdict.Unusable
	}
	return open(Verdict{Matched: !unusable, Unusable: unusable}, needs)
}

// why gives the first operand that decided the outcome, if one did.
func (n and) why(v *view) string {
	open := ""
	for _, operand := range n {
		switch verdict := operand.eval(v); {
		case verdict.Matched:
		case verdict.Needs == 0:
			return operand.why(v)
		case open == "":
			open = operand.why(v)
		}
	}
	return open
}

type or []node

func (n or) eval(v *view) Verdict {
	var needs Sources
	unusable := false
	for _, operand := range n {
		verdict := operand.eval(v)
		if verdict.Matched {
			return verdict
		}
		needs |= verdict.Needs
		unusable = unusable || verdict.Unusable
	}
	return open(Verdict{Unusable: unusable}, needs)
}

func (n or) why(v *view) string {
	reasons := make([]string, len(n))
	for i, operand := range n {
		reasons[i] = operand.why(v)
	}
	return strings.Join(reasons, ", and ")
}

type not struct {
	operand node
	// text is the expression as it was written, with the not.
	text string
}

func (n not) eval(v *view) Verdict {
	verdict := n.operand.eval(v)
	if verdict.Needs == 0 && !verdict.Unusable {
		verdict.Matched = !verdict.Matched
	}
	return verdict
}

func (n not) why(v *view) string {
	switch verdict := n.operand.eval(v); {
	case verdict.Needs != 0:
		return n.text + " is not known"
	case verdict.Unusable:
		return n.operand.why(v)
	}
	return n.text + " is false"
}

// test is what a comparison asks of an attribute. The negative operators are the
// same tests, negated.
type test uint8

const (
	equals test = iota
	contains
	matches
	isEmpty
	hasMember
)

// comparison is one operator on one attribute.
type comparison struct {
	ref    ref
	test   test
	negate bool
	value  string
	regexp *regexp.Regexp
	// instructions are those that regexp compiles to.
	instructions int
	// text is the comparison as it was written.
	text string
}

func (c *comparison) eval(v *view) Verdict {
	if needs := v.missing(c.ref.attribute); needs != 0 {
		return Verdict{Needs: needs}
	}
	if c.tooLong(v) {
		return Verdict{Unusable: true}
	}
	return Verdict{Matched: c.holds(v) != c.negate}
}

// tooLong tells whether the comparison would have to search a value that is not searched.
func (c *comparison) tooLong(v *view) bool {
	if !c.ref.keyed || c.test != matches && c.test != contains {
		return false
	}
	text, _ := v.textOf(c.ref)
	return len(text) > maxComparedBytes
}

// holds evaluates the test, before negation, on an attribute that is known.
func (c *comparison) holds(v *view) bool {
	switch c.ref.kindOf() {
	case kindMap:
		entries := c.ref.entries(v.Attributes)
		if c.test == isEmpty {
			return len(entries) == 0
		}
		_, found := entries[c.value]
		return found
	case kindList:
		list := c.ref.list(v.Attributes)
		if c.test == isEmpty {
			return len(list) == 0
		}
		return slices.Contains(list, c.value)
	}
	text, present := v.textOf(c.ref)
	v.effort.steps += len(text) * c.instructions
	return c.passes(text, present)
}

// passes evaluates the test, before negation, on a text.
func (c *comparison) passes(text string, present bool) bool {
	switch c.test {
	case isEmpty:
		return text == ""
	case equals:
		return present && text == c.value
	case contains:
		return present && strings.Contains(text, c.value)
	default:
		return present && c.regexp.MatchString(text)
	}
}

// maxShown bounds a value in an explanation, in bytes; annotations can be long.
const maxShown = 128

func (c *comparison) why(v *view) string {
	if v.missing(c.ref.attribute) != 0 {
		return c.text + " is not known"
	}
	if kind := c.ref.kindOf(); kind == kindMap || kind == kindList {
		return c.text + " is false"
	}
	text, present := v.textOf(c.ref)
	switch {
	case c.tooLong(v):
		return fmt.Sprintf("%s is not decided: %s is %d bytes long, and no more than %d are searched", c.text, c.ref, len(text), maxComparedBytes)
	case !present:
		return fmt.Sprintf("%s is false: %s is absent", c.text, c.ref)
	case len(text) > maxShown:
		return fmt.Sprintf("%s is false: %s begins with %q", c.text, c.ref, text[:maxShown])
	}
	return fmt.Sprintf("%s is false: %s is %q", c.text, c.ref, text)
}

// pins returns the comparisons with == that must hold for the expression to
// hold, one for each attribute that is asked for and found.
func pins(root node, names ...string) map[string]string {
	found := map[string]string{}
	switch n := root.(type) {
	case and:
		for _, operand := range n {
			for name, value := range pins(operand, names...) {
				found[name] = value
			}
		}
	case *comparison:
		if n.test == equals && !n.negate && !n.ref.keyed && slices.Contains(names, n.ref.name) {
			found[n.ref.name] = n.value
		}
	}
	return found
}
