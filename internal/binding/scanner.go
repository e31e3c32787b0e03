package binding

import (
	"strings"
)

// tokenKind is what the scanner tells apart; words that are operators are paths
// to it, since only their place tells them from names.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenOpen
	tokenClose
	tokenSymbol // == or !=
	tokenPath
	tokenString
	tokenNumber
	tokenOther
)

// token is a piece of an expression: text[start:end].
type token struct {
	kind       tokenKind
	start, end int
	// spaced says that there is white space, or nothing at all, before it.
	spaced bool
}

// scanner splits an expression as go-bexpr's grammar does.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) next() (token, error) {
	start := s.pos
	s.skipSpace()
	t := token{start: s.pos, spaced: s.pos > start || s.pos == 0}
	if s.pos == len(s.text) {
		t.end, t.spaced = s.pos, true
		return t, nil
	}
	var err error
	switch c := s.text[s.pos]; {
	case c == '(':
		t.kind = tokenOpen
		s.pos++
	case c == ')':
		t.kind = tokenClose
		s.pos++
	case strings.HasPrefix(s.text[s.pos:], "=="), strings.HasPrefix(s.text[s.pos:], "!="):
		t.kind = tokenSymbol
		s.pos += 2
	case c == '"' || c == '`':
		t.kind = tokenString
		err = s.str()
	case isLetter(c):
		t.kind = tokenPath
		err = s.path()
	case c == '-' || isDigit(c):
		t.kind = tokenNumber
		s.skip(func(c byte) bool { return c == '-' || c == '.' || isDigit(c) })
	default:
		t.kind = tokenOther
		s.skip(func(c byte) bool { return !isSpace(c) })
	}
	t.end = s.pos
	return t, err
}

// str reads a quoted text. In double quotes, as in back quotes, nothing escapes
// the quote itself.
func (s *scanner) str() error {
	length := strings.IndexByte(s.text[s.pos+1:], s.text[s.pos])
	if length < 0 {
		return errorAt("selector", s.text, s.pos, "the text that begins here has no closing quote")
	}
	s.pos += length + 2
	return nil
}

// path reads an identifier and its parts: .identifier, .digits or ["key"].
func (s *scanner) path() error {
	s.skip(isIdentifier)
	for s.pos < len(s.text) {
		rest := s.text[s.pos:]
		switch {
		case rest[0] == '.' && len(rest) > 1 && isLetter(rest[1]):
			s.pos++
			s.skip(isIdentifier)
		case rest[0] == '.' && len(rest) > 1 && isDigit(rest[1]):
			s.pos++
			s.skip(isDigit)
		case rest[0] == '[':
			if err := s.index(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (s *scanner) index() error {
	open := s.pos
	s.pos++
	s.skipSpace()
	if s.pos == len(s.text) || s.text[s.pos] != '"' && s.text[s.pos] != '`' {
		return errorAt("selector", s.text, s.pos, "expected a key in quotes")
	}
	if err := s.str(); err != nil {
		return err
	}
	s.skipSpace()
	if s.pos == len(s.text) || s.text[s.pos] != ']' {
		return errorAt("selector", s.text, open, "the index that begins here has no closing bracket")
	}
	s.pos++
	return nil
}

func (s *scanner) skipSpace() { s.skip(isSpace) }

func (s *scanner) skip(while func(byte) bool) {
	for s.pos < len(s.text) && while(s.text[s.pos]) {
		s.pos++
	}
}

func isSpace(c byte) bool  { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isIdentifier(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '_' || c == '/'
}
