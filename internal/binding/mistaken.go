package binding

import (
	"fmt"
	"regexp"
	"strings"
)

// mistakenValue tells what was meant otherwise by a value that a selector compares an
// attribute with: it would match nothing that there is, or with a negation everything.
func mistakenValue(c *comparison) string {
	if template := templateIn(c.value); template != "" {
		return fmt.Sprintf("`%s` stands for nothing in a selector; attributes can only be compared with values", template)
	}
	if c.test == matches {
		switch {
		case strings.ContainsRune(c.value, '\b'):
			return `in a quoted text \b is the character backspace; the regular expression \b is written \\b`
		case mistakenPattern(c.value):
			return "the * of a regular expression repeats what is before it; anything is written .*"
		}
		return ""
	}
	if c.ref.anything() {
		return ""
	}
	if c.test == equals && !c.ref.overridable && strings.TrimSpace(c.value) != c.value {
		return fmt.Sprintf("%s never begins or ends with white space", c.ref)
	}
	if at := strings.IndexAny(c.value, "*?{}<>$%'\"`“”‘’"); at >= 0 {
		return fmt.Sprintf("%s never has `%c` in it; what is to match a pattern is written %s matches \"…\"", c.ref, []rune(c.value[at:])[0], c.ref)
	}
	return ""
}

// templateIn finds a template of an attribute in a text; empty if there is none. What is
// longer than any name is none.
func templateIn(text string) string {
	if len(text) > maxGroupBytes {
		return ""
	}
	for i := range text {
		if end := interpolationAt(text[i:]); end > 0 {
			return text[i : i+end]
		}
	}
	for _, l := range lookalikes(text) {
		if l.certain && l.form == formDelimited {
			return l.text
		}
	}
	return ""
}

// globLike is a pattern as shells have it, and not regular expressions: be it between the
// anchors of one, web-* also holds for web, and for webhook.
var globLike = regexp.MustCompile(`^\^?[A-Za-z0-9_/:.-]*[A-Za-z0-9_/:-]\*\$?$`)

func mistakenPattern(pattern string) bool { return globLike.MatchString(pattern) }

// anything tells whether the attribute may have any text. Names, labels and their keys
// may not.
func (r ref) anything() bool {
	return r.kindOf() == kindEntry && r.long || r.kindOf() == kindList || r.name == clusterName
}
