package binding

import (
	"regexp"
	"strconv"
	"strings"
)

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
		pattern = globPattern(strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$"), false)
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
