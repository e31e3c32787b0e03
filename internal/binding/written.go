package binding

import (
	"fmt"
	"strings"
)

// CompileWrittenTemplate is CompileTemplate for a bind name that is being written. It
// refuses as well what is a name as it stands and was almost surely meant otherwise. Who
// means it writes it as a text of HIL's: ${"team-*"}.
func CompileWrittenTemplate(bindType BindType, text string) (*Template, error) {
	t, err := CompileTemplate(bindType, text)
	if err != nil {
		return nil, err
	}
	if offset, reason := mistakenName(bindType, text); reason != "" {
		refused := errorAt("bind_name", text, offset, reason)
		if refused.Write = rewrittenName(bindType, text); refused.Write == "" {
			if refused.Write = literalName(bindType, text); refused.Write != "" {
				refused.Reason += "; if that very name is meant, it goes in quotes"
			}
		}
		return nil, refused
	}
	return t, nil
}

// mistakenName tells what of a bind name was meant otherwise, and where.
func mistakenName(bindType BindType, text string) (offset int, reason string) {
	for _, l := range lookalikes(text) {
		if l.meant(bindType) {
			return l.offset, fmt.Sprintf("`%s` would stand in the name as it is; attributes are written like ${serviceaccount.namespace}", l.text)
		}
	}
	if trimmed := strings.TrimSpace(text); trimmed != text {
		return 0, "white space at the beginning or end"
	}
	if inQuotes(text) {
		return 0, "the quotes would be part of the name"
	}
	if bindType != BindPolicy {
		return 0, ""
	}
	if offset := globAt(text); offset >= 0 {
		return offset, fmt.Sprintf("`%c` would stand in the name as it is: a policy is granted by its whole name. One that differs by service account takes an attribute, such as ${serviceaccount.namespace}", text[offset])
	}
	return mistakenEdge(text)
}

// meant tells whether an attribute was meant rather than the text. Groups may have any
// name, of an LDAP server as well, so there it has to be one of our attributes.
func (l lookalike) meant(bindType BindType) bool {
	if bindType != BindGroup {
		return true
	}
	if l.form == formBare {
		return strings.HasPrefix(l.ref.name, "serviceaccount.") || l.ref.name == namespaceLabels || l.ref.name == consulNamespace
	}
	return l.certain
}

func inQuotes(text string) bool {
	return len(text) > 2 && strings.ContainsRune("'\"`", rune(text[0])) && text[0] == text[len(text)-1]
}

// globAt finds what stands for other text in patterns and templates, and is in no
// policy's name; -1 if there is nothing. A + does so only by itself: c++ may be a name.
func globAt(text string) int {
	for i := 0; i < len(text); i++ {
		if end := interpolationAt(text[i:]); end > 0 {
			i += end - 1
			continue
		}
		if strings.IndexByte(`*?^\|[]{}<>$`, text[i]) >= 0 {
			return i
		}
		if text[i] == '+' && (i == 0 || !isWordByte(text[i-1]) && text[i-1] != '+' && text[i-1] != '}') {
			return i
		}
	}
	return -1
}

// mistakenEdge finds what is left beside a variable that was not set, as in ns-$TEAM.
func mistakenEdge(text string) (offset int, reason string) {
	for _, offset := range []int{0, len(text) - 1} {
		if strings.IndexByte("-_:=@", text[offset]) >= 0 {
			return offset, fmt.Sprintf("the name begins or ends with `%c`, which is what is left beside a variable that was not set; attributes are written like ${serviceaccount.namespace}, which a shell leaves alone in single quotes", text[offset])
		}
	}
	return 0, ""
}

// rewrittenName is what was most likely meant by a bind name that is refused, as it is
// written here; empty where that is not plain.
func rewrittenName(bindType BindType, text string) string {
	if len(text) > maxRewritten {
		return ""
	}
	form := strings.TrimSpace(text)
	if inQuotes(form) {
		form = form[1 : len(form)-1]
	}
	var b strings.Builder
	last := 0
	for _, l := range lookalikes(form) {
		if !l.meant(bindType) {
			continue
		}
		if !l.found {
			return ""
		}
		b.WriteString(form[last:l.offset])
		b.WriteString("${" + l.ref.String() + "}")
		last = l.offset + len(l.text)
	}
	b.WriteString(form[last:])
	if form = b.String(); form == text || len(form) > maxRewritten {
		return ""
	}
	return accepted(bindType, form)
}

// literalName is a bind name that says of its text that it is meant as it is; empty if
// nothing of the type can be so called.
func literalName(bindType BindType, text string) string {
	var b strings.Builder
	literal := func(text string) {
		if text != "" {
			b.WriteString(`${"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${").Replace(text) + `"}`)
		}
	}
	last := 0
	for i := 0; i < len(text); i++ {
		if end := interpolationAt(text[i:]); end > 0 {
			literal(text[last:i])
			b.WriteString(text[i : i+end])
			last = i + end
			i = last - 1
		}
	}
	literal(text[last:])
	return accepted(bindType, b.String())
}

// accepted is the form if it can be written, and empty if not.
func accepted(bindType BindType, form string) string {
	if _, err := parseTemplate(bindType, form); err != nil {
		return ""
	}
	if _, reason := mistakenName(bindType, form); reason != "" {
		return ""
	}
	return form
}
