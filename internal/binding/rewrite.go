package binding

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// maxRewritten bounds the text whose right form an error shows, and that form, in bytes.
const maxRewritten = 1 << 10

// rewritten is what somebody most likely meant by a selector that is refused, as it is
// written here; empty where that is not plain. It is tried out, so that what an error
// shows is taken.
func rewritten(text string) string {
	if len(text) > maxRewritten {
		return ""
	}
	for _, form := range forms(text) {
		if form == "" || form == text || len(form) > maxRewritten {
			continue
		}
		if _, err := parseSelector(form, true); err == nil {
			return form
		}
	}
	return ""
}

// forms are what the text may be, the likeliest first.
func forms(text string) []string {
	trimmed := strings.TrimSpace(text)
	switch strings.ToLower(trimmed) {
	case "true", "all", "any", "always", "everything", "everyone", "**", ".*":
		return []string{Everything}
	}
	if object := fromJSON(trimmed); object != "" {
		return []string{object}
	}
	found, ok := pieces(text)
	if !ok {
		return nil
	}
	if len(found) == 1 && found[0].kind == pieceQuoted { // the shell's quotes, or a wiki's
		return append([]string{found[0].value}, rewrite(found[0].value))
	}
	return []string{rewrite(text), rewrite(withoutTemplates(text))}
}

// withoutTemplates has the attributes themselves where the text has templates of them,
// but not within quotes, where they are part of a value.
func withoutTemplates(text string) string {
	var b strings.Builder
	last := 0
	for i := 0; i < len(text); i++ {
		// What a bind name fills in is a template as well.
		match := interpolation.FindStringSubmatch(text[i:])
		if match == nil {
			match = delimited.FindStringSubmatch(text[i:])
		}
		if match == nil {
			continue
		}
		quoted := strings.Count(text[:i], `"`) + strings.Count(text[:i], "'") + strings.Count(text[:i], "`")
		if found, ok, certain := inTemplate(strings.Join(match[1:], "")); ok && certain && quoted%2 == 0 {
			b.WriteString(text[last:i] + found.String())
			last = i + len(match[0])
			i = last - 1
		}
	}
	return b.String() + text[last:]
}

func rewrite(text string) string {
	found, ok := pieces(text)
	if !ok {
		return ""
	}
	r := &rewriter{pieces: found}
	if !r.expression(0) {
		return ""
	}
	for r.peek().text == ")" { // closes what was not opened
		if r.mixed || r.negated {
			return ""
		}
		r.out = append(append([]string{"("}, r.out...), ")")
		if r.i++; !r.rest(0) {
			return ""
		}
	}
	if r.i < len(r.pieces) {
		return ""
	}
	return joined(r.out)
}

// joined puts white space where the grammar wants it.
func joined(words []string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 && words[i-1] != "(" && word != ")" {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return b.String()
}

// rewriter reads a selector as people write it, and writes it as it has to be. Its
// methods return false where what was meant is not plain.
type rewriter struct {
	pieces []piece
	i      int
	out    []string
	// mixed says that there are both and and or, and negated that there is a not:
	// where a parenthesis is missing then decides the meaning.
	word           string
	mixed, negated bool
}

func (r *rewriter) peek() piece {
	if r.i < len(r.pieces) {
		return r.pieces[r.i]
	}
	return piece{kind: pieceEnd}
}

func (r *rewriter) emit(words ...string) { r.out = append(r.out, words...) }

func (r *rewriter) expression(depth int) bool {
	return r.operand(depth) && r.rest(depth)
}

// rest reads what is joined to an operand.
func (r *rewriter) rest(depth int) bool {
	for {
		word := connectives[r.peek().lowered()]
		if word == "" {
			return true
		}
		r.mixed = r.mixed || r.word != "" && r.word != word
		r.word = word
		r.emit(word)
		if r.i++; !r.operand(depth) {
			return false
		}
	}
}

func (r *rewriter) operand(depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch p := r.peek(); {
	case p.lowered() == "not" || p.text == "!" && p.kind == pieceSymbol:
		r.negated = true
		r.emit("not")
		r.i++
		return r.operand(depth + 1)
	case p.text == "(" && p.kind == pieceSymbol:
		return r.parentheses(depth)
	}
	return r.comparison()
}

func (r *rewriter) parentheses(depth int) bool {
	r.emit("(")
	r.i++
	if !r.expression(depth + 1) {
		return false
	}
	switch p := r.peek(); {
	case p.text == ")" && p.kind == pieceSymbol:
		r.i++
	case p.kind != pieceEnd || r.mixed || r.negated:
		return false
	}
	r.emit(")")
	return true
}

// fromJSON makes comparisons of an object whose keys are attributes, or parts of their
// names. All of them have to hold, as in a label selector.
func fromJSON(text string) string {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) != nil {
		return ""
	}
	var comparisons []string
	if !flatten(nil, object, &comparisons) {
		return ""
	}
	return strings.Join(comparisons, " and ")
}

func flatten(path []string, value any, comparisons *[]string) bool {
	c := operands{spelling: spelling{operator: opEquals}}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if len(path) > maxDepth || !flatten(slices.Concat(path, splitPath(key)), value[key], comparisons) {
				return false
			}
		}
		return len(value) > 0
	case string:
		c.values = []piece{{kind: pieceQuoted, value: value}}
	case []any:
		for _, item := range value {
			text, isText := item.(string)
			if !isText {
				return false
			}
			c.values = append(c.values, piece{kind: pieceQuoted, value: text})
		}
	}
	var known bool
	if c.ref, known = guessed(path); !known {
		return false
	}
	words := c.words()
	*comparisons = append(*comparisons, joined(words))
	return len(words) > 0
}
