package binding

import (
	"regexp"
	"strings"
)

// lookalike is a piece of a name that looks like an attribute to be filled in, and is
// none as it is written.
type lookalike struct {
	offset int
	text   string
	// ref is the attribute that was meant, if found; certain says that it is named,
	// and is no guess.
	ref            ref
	found, certain bool
	form           lookalikeForm
}

type lookalikeForm uint8

const (
	// formDelimited is within what other programs put around names: {{x}}, $(x), <x>.
	formDelimited lookalikeForm = iota
	// formBare is an attribute without anything around it.
	formBare
	// formResidue is what a shell leaves of $serviceaccount.name.
	formResidue
)

// delimited are the ways in which programs that fill in templates have names written;
// the last ones are not closed.
var delimited = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`(?:\$+|[%#@])[ \t]*\{+[%#-]?([^{}]*)[%#-]?\}+`,
	`\{+[%#-]?([^{}]*)[%#-]?\}+`,
	`[$%]+\(([^()]*)\)s?`,
	`<+([^<>]*)>+`,
	`\[\[([^\[\]]*)\]\]`,
	`%([A-Za-z][A-Za-z_.]*)%`,
	`\$+([A-Za-z]\w*(?:\.[A-Za-z]\w*)*(?:\["[^"]*"\])?)`,
	`(?:(?:\$+|[%#@])[ \t]*[{(]+|\{\{)\s*\.?([A-Za-z]\w*(?:\.[A-Za-z]\w*)*(?:\["[^"]*"\])?)[ \t})]*`,
}, `|`) + `)`)

var bareAttribute = regexp.MustCompile(`^(?:serviceaccount|namespace|pod|node|cluster|consul)\.[a-z]+(?:\.\w+|\["[^"]*"\])?`)

var residue = regexp.MustCompile(`^\.(?:namespace|name|uid|labels|annotations)`)

// interpolation is what a bind name fills in: the text within ${ and }.
var interpolation = regexp.MustCompile(`^\$\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}`)

// lookalikes finds them all, in order.
func lookalikes(text string) []lookalike {
	var found []lookalike
	for i := 0; i < len(text); {
		end := interpolationAt(text[i:])
		if end > 0 && (!strings.HasPrefix(text[i+end:], "}") || i > 0 && text[i-1] == '{') {
			i += end
			continue
		}
		l, ok := lookalikeAt(text, i)
		if !ok {
			i++
			continue
		}
		l.offset = i
		found = append(found, l)
		i += len(l.text)
	}
	return found
}

// interpolationAt is the length of an interpolation at the beginning of the text that is
// as it should be; 0 if there is none. A text in quotes says that it is meant as it is.
func interpolationAt(text string) int {
	match := interpolation.FindStringSubmatch(text)
	if match == nil {
		return 0
	}
	inner := strings.TrimSpace(match[1])
	_, reason := resolve(splitPath(inner))
	badIndex := strings.Contains(inner, "[") && !strings.Contains(inner, `["`)
	if (reason != "" || badIndex) && !strings.HasPrefix(inner, `"`) {
		return 0
	}
	return len(match[0])
}

func lookalikeAt(text string, i int) (lookalike, bool) {
	if match := delimited.FindStringSubmatch(text[i:]); match != nil {
		l := lookalike{text: match[0]}
		l.ref, l.found, l.certain = inTemplate(strings.Join(match[1:], ""))
		return l, true
	}
	if i > 0 && isWordByte(text[i-1]) {
		return lookalike{}, false
	}
	if match := bareAttribute.FindString(text[i:]); match != "" {
		for _, name := range []string{match, strings.Join(strings.SplitN(match, ".", 3)[:2], ".")} {
			found, reason := resolve(splitPath(name))
			if reason == "" && endsWord(text, i+len(name)) {
				return lookalike{text: name, ref: found, found: true, certain: true, form: formBare}, true
			}
		}
	}
	if match := residue.FindString(text[i:]); match != "" && endsWord(text, i+len(match)) {
		found, ok := attributesByName["serviceaccount"+match]
		ok = ok && found.kind == kindText
		return lookalike{text: match, ref: ref{attribute: found}, found: ok, certain: true, form: formResidue}, true
	}
	return lookalike{}, false
}

// endsWord tells whether a word that goes up to the offset ends there.
func endsWord(text string, offset int) bool { return offset == len(text) || !isWordByte(text[offset]) }

func isWordByte(c byte) bool { return isLetter(c) || isDigit(c) }

// inTemplate finds the attribute that a template of another program, or one with a slip
// of the pen, names.
func inTemplate(inner string) (found ref, ok, certain bool) {
	inner, _, _ = strings.Cut(inner, "|") // filters
	inner = strings.TrimPrefix(strings.Trim(strings.TrimSpace(inner), "$"), ".")
	path := splitPath(inner)
	if found, ok = named(path); ok {
		return found, fillable(found), fillable(found)
	}
	if found, ok = guessed(path); ok {
		return found, fillable(found), false
	}
	return ref{}, false, false
}

// fillable tells whether the attribute can stand in a name.
func fillable(r ref) bool { return r.kindOf() != kindMap && r.kindOf() != kindList }
