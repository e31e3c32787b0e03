package binding

import (
	"regexp"
	"regexp/syntax"
	"slices"
)

// implies tells whether a condition is certain where the expression holds, or, if
// holds is false, where it does not. The condition is asked of single comparisons,
// with whether their test, before negation, comes out true. A yes is certain; a no may
// only mean that it takes more thought than this.
func implies(root node, holds bool, condition func(c *comparison, test bool) bool) bool {
	operand := func(n node) bool { return implies(n, holds, condition) }
	switch n := root.(type) {
	case and:
		return some(n, operand, holds)
	case or:
		return some(n, operand, !holds)
	case not:
		return implies(n.operand, !holds, condition)
	case *comparison:
		return condition(n, holds != n.negate)
	}
	return false
}

// some tells whether a condition is true of one operand or, if one is not enough, of
// every one.
func some(operands []node, condition func(node) bool, oneIsEnough bool) bool {
	for _, n := range operands {
		if condition(n) == oneIsEnough {
			return oneIsEnough
		}
	}
	return !oneIsEnough
}

// each calls visit for every comparison that the expression, to hold, may need, with
// whether its test is to come out true.
func each(root node, holds bool, visit func(c *comparison, test bool)) {
	switch n := root.(type) {
	case and:
		for _, operand := range n {
			each(operand, holds, visit)
		}
	case or:
		for _, operand := range n {
			each(operand, holds, visit)
		}
	case not:
		each(n.operand, !holds, visit)
	case *comparison:
		visit(n, holds != n.negate)
	}
}

// MatchesAll tells whether the selector is seen to match every service account,
// without looking at any: the empty one and *, and a comparison with what is left of a
// text where a variable was not set, such as serviceaccount.name matches "^".
func (s *Selector) MatchesAll() bool { return always(s.root, true) }

func always(root node, holds bool) bool {
	operand := func(n node) bool { return always(n, holds) }
	switch n := root.(type) {
	case all:
		return holds
	case and:
		return some(n, operand, !holds)
	case or:
		return some(n, operand, holds)
	case not:
		return always(n.operand, !holds)
	case *comparison:
		if n.ref.kindOf() != kindText {
			return false
		}
		if holds == n.negate { // the test has to fail
			return n.test == equals && n.value == ""
		}
		return n.saysNothing()
	}
	return false
}

// saysNothing tells whether the test is true of every text.
func (c *comparison) saysNothing() bool {
	switch c.test {
	case contains:
		return c.value == ""
	case matches:
		return matchesAnything(c.regexp)
	}
	return false
}

// saysNearlyNothing tells whether the test is true of every name that people could give.
func (c *comparison) saysNearlyNothing() bool {
	if c.saysNothing() {
		return true
	}
	return c.test == matches && !slices.ContainsFunc(madeUp, func(name string) bool { return !c.regexp.MatchString(name) })
}

// narrows tells whether the test, coming out true, says anything of what a text is.
func (c *comparison) narrows() bool {
	switch c.test {
	case equals, contains, matches:
		return !c.saysNearlyNothing()
	}
	return false
}

// matchesAnything tells whether a regular expression is seen to match every name:
// nothing, an anchor, or .* with or without anchors.
func matchesAnything(pattern *regexp.Regexp) bool {
	parsed, err := syntax.Parse(pattern.String(), syntax.Perl)
	if err != nil {
		return false
	}
	begin, end, anything, other := false, false, false, false
	var look func(*syntax.Regexp)
	look = func(r *syntax.Regexp) {
		switch r.Op {
		case syntax.OpConcat, syntax.OpCapture:
			for _, sub := range r.Sub {
				look(sub)
			}
		case syntax.OpEmptyMatch:
		case syntax.OpBeginText, syntax.OpBeginLine:
			begin = true
		case syntax.OpEndText, syntax.OpEndLine:
			end = true
		case syntax.OpStar, syntax.OpPlus:
			if of := r.Sub[0].Op; of == syntax.OpAnyChar || of == syntax.OpAnyCharNotNL {
				anything = true
				return
			}
			other = true
		default:
			other = true
		}
	}
	look(parsed.Simplify())
	return !other && (anything || !begin || !end)
}

// ensures tells whether the attribute is there, and not empty, wherever the
// expression holds.
func ensures(root node, wanted ref) bool {
	return implies(root, true, func(c *comparison, test bool) bool {
		if !c.ref.comesWith(wanted) {
			return false
		}
		switch {
		case c.test == isEmpty:
			return !test
		case !test:
			return false
		case c.ref.kindOf() == kindOptional:
			return true // there is no empty one
		case c.test == matches:
			return !c.regexp.MatchString("")
		}
		return c.value != "" && c.test != hasMember
	})
}

// comesWith tells whether the wanted attribute is there wherever this one is. The name
// and the uid of a pod, or of a node, are told together.
func (r ref) comesWith(wanted ref) bool {
	if r.keyed || wanted.keyed || r.kind != kindOptional {
		return r == wanted
	}
	return r.attribute == wanted.attribute || r.object != "" && r.object == wanted.object
}

// pinned returns the value that the attribute has wherever the expression holds.
func pinned(root node, wanted ref) (value string, found bool) {
	switch n := root.(type) {
	case and:
		for _, operand := range n {
			if value, found = pinned(operand, wanted); found {
				return value, true
			}
		}
	case *comparison:
		if n.test == equals && !n.negate && n.ref == wanted {
			return n.value, true
		}
	}
	return "", false
}
