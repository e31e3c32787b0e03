package binding

import (
	"strconv"
	"strings"

	"github.com/hashicorp/go-bexpr/grammar"
)

// maxParserSteps bounds go-bexpr's parser. A comparison of the longest text takes
// a few times as many steps as it has characters.
const maxParserSteps = 100_000

// operatorsOf are the operators of each kind of attribute, as errors list them.
// Consul's three attributes have the same as in Consul, where contains is another
// way to write in.
var operatorsOf = map[kind]string{
	kindText:     "==, !=, in, not in, contains, not contains, matches, not matches",
	kindOptional: "==, !=, in, not in, contains, not contains, matches, not matches, is empty, is not empty",
	kindEntry:    "==, !=, in, not in, contains, not contains, matches, not matches, is empty, is not empty",
	kindMap:      "in, not in, contains, not contains, is empty, is not empty",
	kindList:     "in, not in, contains, not contains, is empty, is not empty",
}

// operator is a test of go-bexpr's with the way it is written.
type operator struct {
	text   string
	test   test
	negate bool
}

var operatorByMatch = map[grammar.MatchOperator]operator{
	grammar.MatchEqual:       {"==", equals, false},
	grammar.MatchNotEqual:    {"!=", equals, true},
	grammar.MatchIn:          {"in", contains, false},
	grammar.MatchNotIn:       {"not in", contains, true},
	grammar.MatchContains:    {"contains", contains, false},
	grammar.MatchNotContains: {"not contains", contains, true},
	grammar.MatchMatches:     {"matches", matches, false},
	grammar.MatchNotMatches:  {"not matches", matches, true},
	grammar.MatchIsEmpty:     {"is empty", isEmpty, false},
	grammar.MatchIsNotEmpty:  {"is not empty", isEmpty, true},
}

// compile has go-bexpr read a comparison, and makes a node of it.
func (p *parser) compile(w written) (node, error) {
	if !p.maybeAttribute(w.attribute) {
		return nil, p.errorf(w.attribute.start, "expected an attribute; the attributes are %s", attributeNames())
	}
	text := p.text[w.start:w.end]
	parsed, err := grammar.Parse("", []byte(text), grammar.Entrypoint("MatchExpression"), grammar.MaxExpressions(maxParserSteps))
	if err != nil {
		return nil, p.errorf(w.start+failedAt(err), "not a valid comparison: `%s`", text)
	}
	match, ok := parsed.(*grammar.MatchExpression)
	if !ok {
		return nil, p.errorf(w.start, "not a comparison: `%s`", text)
	}
	op, ok := operatorByMatch[match.Operator]
	if !ok {
		return nil, p.errorf(w.start, "the operator %s is not supported", match.Operator)
	}
	found, reason := resolve(match.Selector.Path)
	if reason != "" {
		return nil, p.errorf(w.attribute.start, "%s", reason)
	}
	c := &comparison{ref: found, test: op.test, negate: op.negate, text: text}
	if err := p.checkOperator(c, op, w.attribute); err != nil {
		return nil, err
	}
	if op.test == isEmpty {
		return c, nil
	}
	return c, p.setValue(c, w.value, match.Value.Raw)
}

// maybeAttribute tells whether go-bexpr reads the token as a path: it does with an
// identifier and with a JSON pointer in double quotes.
func (p *parser) maybeAttribute(t token) bool {
	return t.kind == tokenPath || strings.HasPrefix(p.text[t.start:t.end], `"/`)
}

// failedAt finds the offset in an error of go-bexpr's parser, which has it only
// in its text: LINE:COLUMN (OFFSET): MESSAGE.
func failedAt(err error) int {
	_, rest, _ := strings.Cut(err.Error(), "(")
	digits, _, _ := strings.Cut(rest, ")")
	offset, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return offset
}

// checkOperator refuses an operator that the attribute does not have, and makes
// in and contains on a map or a list what they are there.
func (p *parser) checkOperator(c *comparison, op operator, t token) error {
	kind := c.ref.kindOf()
	collection := kind == kindMap || kind == kindList
	supported := true
	switch c.test {
	case isEmpty:
		supported = kind != kindText
	case equals, matches:
		supported = !collection
	case contains:
		if collection {
			c.test = hasMember
		}
	}
	if supported {
		return nil
	}
	hint := ""
	if kind == kindMap && c.test != isEmpty {
		hint = "; one value of it is " + c.ref.name + `["key"]`
	}
	return p.errorf(t.start, "%s does not support %s, it supports %s%s", c.ref, op.text, operatorsOf[kind], hint)
}

// setValue sets what the attribute is compared with. A quoted value is taken from
// the text and not from go-bexpr, which reads one that begins with a slash as a
// JSON pointer and drops the slash.
func (p *parser) setValue(c *comparison, t token, raw string) error {
	spelled := p.text[t.start:t.end]
	switch t.kind {
	case tokenString:
		value, err := strconv.Unquote(spelled)
		if err != nil {
			return p.errorf(t.start, "not a valid text: %s", spelled)
		}
		c.value = value
	case tokenPath:
		// Consul takes any path as the text that it is. One that names an
		// attribute looks like a comparison of two attributes, which there
		// is not.
		if _, reason := resolve(strings.Split(raw, ".")); reason == "" || strings.Contains(spelled, "[") {
			return p.errorf(t.start, "attributes can only be compared with values; if the text is meant, quote it: %q", raw)
		}
		if p.written && (raw == "nil" || raw == "null") {
			return p.errorf(t.start, "nothing is called %s; use is empty or is not empty, or quote it if the text is meant: %q", raw, raw)
		}
		c.value = raw
	default:
		c.value = raw
	}
	return p.checkValue(c, t)
}

func (p *parser) checkValue(c *comparison, t token) error {
	kind := c.ref.kindOf()
	if c.value == "" && (kind == kindOptional || kind == kindEntry) && c.test != matches {
		return p.errorf(t.start, "%s may be absent, so it is not compared with the empty text; use is empty or is not empty", c.ref)
	}
	if c.test == matches {
		weight := 1
		if kind == kindEntry && c.ref.long {
			weight = longWeight
		}
		var err error
		if c.regexp, c.instructions, err = compileRegexp(c.value, weight, &p.instructions); err != nil {
			return p.errorf(t.start, "%s", err.Error())
		}
	}
	if p.written {
		if reason := mistakenValue(c); reason != "" {
			return p.errorf(t.start, "%s", reason)
		}
	}
	return nil
}
