package binding

import (
	"regexp"
	"slices"
	"strings"
)

// operands are a comparison that is being rewritten.
type operands struct {
	spelling
	ref    ref
	values []piece
}

// comparison reads operand, operator and operand, in either order.
func (r *rewriter) comparison() bool {
	left, ok := r.operandSide()
	if !ok {
		return false
	}
	op, taken := readOperator(r.pieces[r.i:])
	r.i += taken
	c := operands{spelling: op}
	if taken == 0 {
		c.spelling = spelling{opEmpty, true} // the attribute alone: it is there
	}
	if c.operator == opEmpty {
		if c.ref, ok = attributeOf(left); !ok {
			return false
		}
		return r.emitComparison(c)
	}
	right, ok := r.operandSide()
	if !ok {
		return false
	}
	attribute, isLeft := attributeOf(left)
	other, isRight := attributeOf(right)
	switch {
	case isLeft && isRight && exact(left) && exact(right), !isLeft && !isRight:
		return false // two attributes are not compared, nor two values
	case isRight && (!isLeft || exact(right) || op.operator == opIn && !exact(left)):
		c.ref, c.values = other, left
	default:
		c.ref, c.values = attribute, right
		if op.operator == opIn && c.ref.kindOf() < kindMap {
			c.operator = opEquals // in a list of one
		}
		return r.emitComparison(c)
	}
	if c.operator == opIn {
		c.operator = opContains
	}
	return r.emitComparison(c)
}

func (r *rewriter) emitComparison(c operands) bool {
	words := c.words()
	r.emit(words...)
	return len(words) > 0
}

// operandSide reads one operand: a word, a text, or several in brackets.
func (r *rewriter) operandSide() ([]piece, bool) {
	first := r.peek()
	closing := map[string]string{"(": ")", "[": "]", "{": "}"}[first.text]
	if first.kind == pieceWord || first.kind == pieceQuoted {
		r.i++
		return []piece{first}, true
	}
	if closing == "" {
		return nil, false
	}
	var values []piece
	for r.i++; ; r.i++ {
		switch p := r.peek(); {
		case p.kind == pieceWord || p.kind == pieceQuoted:
			values = append(values, p)
		case p.text == closing:
			r.i++
			return values, len(values) > 0
		case p.text != ",":
			return nil, false
		}
	}
}

// exact tells whether the operand is spelled as an attribute.
func exact(side []piece) bool {
	_, reason := resolve(splitPath(side[0].value))
	return len(side) == 1 && reason == ""
}

func attributeOf(side []piece) (ref, bool) {
	if len(side) != 1 {
		return ref{}, false
	}
	path := splitPath(strings.TrimPrefix(side[0].value, "$"))
	if side[0].kind == pieceQuoted {
		found, reason := resolve(path)
		return found, reason == "" && len(path) > 1
	}
	return guessed(path)
}

// words are the comparison as the grammar has it.
func (c operands) words() []string {
	if c.operator == opEmpty || c.operator == opEquals && len(c.values) == 1 && c.values[0].nothing() {
		if c.negate {
			return []string{c.ref.String(), "is not empty"}
		}
		return []string{c.ref.String(), opEmpty}
	}
	if len(c.values) == 1 {
		return c.one(c.values[0])
	}
	word := "or"
	if c.negate {
		word = "and"
	}
	words := []string{"("}
	for i, value := range c.values {
		if i > 0 {
			words = append(words, word)
		}
		words = append(words, c.one(value)...)
	}
	return append(words, ")")
}

// nothing tells whether the value stands for one that is not there.
func (p piece) nothing() bool {
	return p.value == "" || p.kind == pieceWord && slices.Contains([]string{"nil", "null"}, p.lowered())
}

// one compares with one value.
func (c operands) one(value piece) []string {
	collection := c.ref.kindOf() == kindMap || c.ref.kindOf() == kindList
	name := c.ref.String()
	not := func(operator string) string {
		if c.negate {
			return "not " + operator
		}
		return operator
	}
	said := value.said()
	globbed := strings.ContainsAny(said, "*?") && !c.ref.anything()
	switch {
	case globbed && c.operator == opContains && !collection:
		return []string{name, not(opMatches), quotedText(globPattern(said, false))}
	case c.operator == opContains, collection && c.operator == opEquals, c.operator == opIn:
		return []string{value.quoted(), not("in"), name}
	case c.operator == opMatches:
		return []string{name, not(opMatches), value.pattern()}
	case c.operator == opPrefix:
		return []string{name, not(opMatches), quotedText("^" + regexp.QuoteMeta(said))}
	case c.operator == opSuffix:
		return []string{name, not(opMatches), quotedText(regexp.QuoteMeta(said) + "$")}
	case c.operator == opLike && strings.ContainsAny(said, "%*"), globbed && c.operator != opMatches:
		return []string{name, not(opMatches), quotedText(globPattern(said, c.operator == opLike))}
	case c.negate:
		return []string{name, "!=", value.quoted()}
	}
	return []string{name, "==", value.quoted()}
}
