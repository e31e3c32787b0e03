package binding

import (
	"regexp"
	"slices"
	"strconv"
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

// globPattern is the regular expression of a text in which * stands for anything.
func globPattern(glob string, percent bool) string {
	pattern := regexp.QuoteMeta(glob)
	pattern = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(pattern)
	if percent {
		pattern = strings.ReplaceAll(pattern, "%", ".*")
	}
	return "^" + pattern + "$"
}

// said is what a quoted text or a word says, for other than regular expressions.
func (p piece) said() string {
	if p.kind == pieceQuoted && p.text != "" && p.text[0] != '`' {
		if value, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(p.value, `\"`, `"`), `"`, `\"`) + `"`); err == nil {
			return value
		}
	}
	return p.value
}

// quoted is the value as a text of the grammar.
func (p piece) quoted() string {
	said := strings.TrimSpace(looseQuote(p.said()))
	if p.kind == pieceQuoted && readable(p.text) && said == p.said() {
		return p.text
	}
	return quotedText(said)
}

// readable tells whether the grammar reads a quoted text as it stands.
func readable(text string) bool {
	_, err := strconv.Unquote(text)
	s := scanner{text: text}
	t, scanned := s.next()
	return err == nil && scanned == nil && t.kind == tokenString && t.end == len(text)
}

// looseQuote takes away quotes within quotes, which a shell left there.
func looseQuote(said string) string {
	if len(said) > 2 && strings.ContainsRune(`'"`, rune(said[0])) && said[0] == said[len(said)-1] {
		return said[1 : len(said)-1]
	}
	return said
}

// quotedText is the text in double quotes. The grammar ends it at the first of these,
// so one within is written by its number.
func quotedText(value string) string {
	quoted := strconv.Quote(value)
	return `"` + strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `\x22`) + `"`
}

// pattern is the value as a regular expression. The grammar reads a text as Go does, so
// each backslash of the expression is two; whether they were doubled shows in whether Go
// can read the text.
func (p piece) pattern() string {
	pattern := p.value
	switch {
	case p.kind == pieceWord && len(pattern) > 2 && pattern[0] == '/' && pattern[len(pattern)-1] == '/':
		pattern = pattern[1 : len(pattern)-1]
	case p.kind == pieceQuoted && !strings.HasPrefix(p.text, "`"):
		value, err := strconv.Unquote(`"` + pattern + `"`)
		if err != nil || strings.ContainsRune(value, '\b') {
			value = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(pattern)
		}
		pattern = value
	}
	if _, err := regexp.Compile(pattern); err != nil && strings.HasPrefix(pattern, "*") || mistakenPattern(pattern) {
		pattern = globPattern(pattern, false)
	}
	if quoted := quotedText(pattern); !readable(p.text) || p.means() != pattern {
		return quoted
	}
	return p.text
}

// means is what the grammar reads of a quoted text.
func (p piece) means() string {
	value, err := strconv.Unquote(p.text)
	if err != nil {
		return ""
	}
	return value
}
