package binding

import (
	"fmt"
)

// parser reads an expression. The grammar is go-bexpr's, which also reads each
// comparison; only how comparisons are joined by and, or, not and parentheses is
// read here, for two reasons. go-bexpr's parser takes four times as long for each
// level of parentheses, and gives up at the seventh: a few hundred such rules
// would be minutes of loading. And its syntax tree has no positions, without
// which an error could not say where it is.
//
// The parser accepts a subset of what go-bexpr accepts. Left out is what nobody
// means: operands that are called not, any or all and are not quoted.
type parser struct {
	scanner
	// tok is the token that is looked at.
	tok token
	// lastEnd is where the token before it ends.
	lastEnd     int
	comparisons int
	// instructions is what is left for regular expressions.
	instructions int
	// written says that the text is being written, and was not stored before.
	written bool
}

func (p *parser) parse() (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, p.unexpected(`"and", "or" or the end`)
	}
	return root, nil
}

func (p *parser) advance() (err error) {
	p.lastEnd = p.tok.end
	p.tok, err = p.next()
	return err
}

func (p *parser) errorf(offset int, format string, args ...any) error {
	return errorAt("selector", p.text, offset, fmt.Sprintf(format, args...))
}

func (p *parser) unexpected(wanted string) error {
	if p.tok.kind == tokenEnd {
		return p.errorf(p.tok.start, "expected %s, and the expression ends here", wanted)
	}
	return p.errorf(p.tok.start, "expected %s, found `%s`", wanted, p.text[p.tok.start:p.tok.end])
}

// isWord tells whether the token is this word.
func (p *parser) isWord(word string) bool {
	return p.tok.kind == tokenPath && p.text[p.tok.start:p.tok.end] == word
}

// takeWord goes past a word that is an operator between or after operands. The
// grammar wants white space on both sides.
func (p *parser) takeWord(word string) error {
	if !p.tok.spaced {
		return p.errorf(p.tok.start, "expected white space before %q", word)
	}
	return p.takePrefix(word)
}

// takePrefix goes past a word that is an operator before its operand.
func (p *parser) takePrefix(word string) error {
	if err := p.advance(); err != nil {
		return err
	}
	if !p.tok.spaced {
		return p.errorf(p.tok.start, "expected white space after %q", word)
	}
	return nil
}

func (p *parser) or(depth int) (node, error) {
	operands, err := p.chain("or", func() (node, error) {
		operands, err := p.chain("and", func() (node, error) { return p.operand(depth) })
		if len(operands) == 1 {
			return operands[0], err
		}
		return and(operands), err
	})
	if len(operands) == 1 {
		return operands[0], err
	}
	return or(operands), err
}

// chain reads operands joined by a word. There is none if there is an error.
func (p *parser) chain(word string, operand func() (node, error)) (operands []node, err error) {
	for {
		n, err := operand()
		if err != nil {
			return nil, err
		}
		operands = append(operands, n)
		if !p.isWord(word) {
			return operands, nil
		}
		if err := p.takeWord(word); err != nil {
			return nil, err
		}
	}
}

func (p *parser) operand(depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.errorf(p.tok.start, "nested more than %d deep", maxDepth)
	}
	start := p.tok.start
	switch {
	case p.isWord("not"):
		if err := p.takePrefix("not"); err != nil {
			return nil, err
		}
		n, err := p.operand(depth + 1)
		if err != nil {
			return nil, err
		}
		return not{operand: n, text: p.text[start:p.lastEnd]}, nil
	case p.tok.kind == tokenOpen:
		return p.parentheses(depth)
	}
	return p.comparison()
}

func (p *parser) parentheses(depth int) (node, error) {
	open := p.tok.start
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	switch p.tok.kind {
	case tokenClose:
		return n, p.advance()
	case tokenEnd:
		return nil, p.errorf(open, `the parenthesis that opens here is not closed with ")"`)
	}
	return nil, p.unexpected(`"and", "or" or ")"`)
}

// written is a comparison as it stands in the text.
type written struct {
	attribute, value token
	start, end       int
}

// comparison reads an operand, an operator and, if the operator has one, a second
// operand.
func (p *parser) comparison() (node, error) {
	if p.comparisons++; p.comparisons > maxComparisons {
		return nil, p.errorf(p.tok.start, "more than %d comparisons", maxComparisons)
	}
	if p.isWord("any") || p.isWord("all") {
		return nil, p.errorf(p.tok.start, "any and all are not supported; a value that is so called must be quoted")
	}
	left := p.tok
	if err := p.takeOperand("a comparison"); err != nil {
		return nil, err
	}
	operator, err := p.operator()
	if err != nil {
		return nil, err
	}
	w := written{attribute: left, start: left.start}
	if operator != "is" {
		w.value = p.tok
		if err := p.takeOperand("a value"); err != nil {
			return nil, err
		}
	}
	if operator == "in" {
		w.attribute, w.value = w.value, w.attribute
	}
	w.end = p.lastEnd
	return p.compile(w)
}

func (p *parser) takeOperand(wanted string) error {
	switch p.tok.kind {
	case tokenPath, tokenString, tokenNumber:
		return p.advance()
	}
	return p.unexpected(wanted)
}

// operator goes past an operator and returns its word, without "not", or its
// symbol.
func (p *parser) operator() (string, error) {
	if p.tok.kind == tokenSymbol {
		return p.text[p.tok.start:p.tok.end], p.advance()
	}
	if p.isWord("is") {
		if err := p.takeWord("is"); err != nil {
			return "", err
		}
		return "is", p.predicate()
	}
	wanted := "an operator (==, !=, in, contains, matches or is)"
	if p.isWord("not") {
		if err := p.takeWord("not"); err != nil {
			return "", err
		}
		wanted = `"in", "contains" or "matches"`
	}
	for _, word := range []string{"in", "contains", "matches"} {
		if p.isWord(word) {
			return word, p.takeWord(word)
		}
	}
	return "", p.unexpected(wanted)
}

// predicate goes past what can follow "is".
func (p *parser) predicate() error {
	if p.isWord("not") {
		if err := p.takeWord("not"); err != nil {
			return err
		}
	}
	if p.isWord("nil") {
		return p.errorf(p.tok.start, `"is nil" is not supported; "is empty" also holds for what is absent`)
	}
	if !p.isWord("empty") {
		return p.unexpected(`"empty"`)
	}
	return p.advance()
}
