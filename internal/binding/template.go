package binding

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxTemplateBytes bounds a bind name; the longest name has maxGroupBytes and the
// longest key of an annotation 317.
const maxTemplateBytes = 2 << 10

// Template computes the name that a binding rule grants. It is immutable and safe
// for concurrent use.
type Template struct {
	bindType BindType
	text     string
	parts    []part
}

// part is a piece of a template: literal text, or an attribute.
type part struct {
	literal string
	ref     *ref
	// offset is where it begins in the template's text, in bytes.
	offset int
}

// CompileTemplate reads a bind name. Without ${ it is the name as it stands;
// otherwise it is HIL, of which the attributes ${serviceaccount.name} and
// ${namespace.labels["team"]} are supported, and nothing that computes. A bind
// name that can give no valid name for the type, whatever the attributes are, is
// refused. The error is an *InputError.
func CompileTemplate(bindType BindType, text string) (*Template, error) {
	t, err := parseTemplate(bindType, text)
	var input *InputError
	if errors.As(err, &input) && input.Field == "bind_name" {
		input.Write = rewrittenName(bindType, text)
	}
	return t, err
}

func parseTemplate(bindType BindType, text string) (*Template, error) {
	if !slices.Contains(BindTypes, bindType) && !bindType.ForConsul() {
		return nil, &InputError{Field: "bind_type", Reason: fmt.Sprintf("unknown bind type %q; the bind types are %s", string(bindType), joinBindTypes())}
	}
	switch {
	case text == "":
		return nil, &InputError{Field: "bind_name", Reason: "missing"}
	case len(text) > maxTemplateBytes:
		return nil, &InputError{Field: "bind_name", Reason: fmt.Sprintf("%d bytes long, more than the %d that are allowed", len(text), maxTemplateBytes)}
	case !utf8.ValidString(text):
		return nil, &InputError{Field: "bind_name", Reason: "not valid UTF-8"}
	}
	t := &Template{bindType: bindType, text: text, parts: []part{{literal: text}}}
	if strings.Contains(text, "${") {
		parts, err := parseHIL(text)
		if err != nil {
			return nil, err
		}
		t.parts = parts
	}
	if err := t.tryOut(); err != nil {
		return nil, err
	}
	return t, nil
}

func joinBindTypes() string {
	var names []string
	for _, t := range slices.Concat(BindTypes, ConsulBindTypes) {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

// String returns the text that was compiled.
func (t *Template) String() string { return t.text }

// placeholder is a value that every type of name accepts in every place, so that
// what is refused with it would be refused with any value.
const placeholder = "a"

// tryOut refuses a template that can give no valid name, and points at the place
// if it is in the text and not between the attributes.
func (t *Template) tryOut() error {
	var name strings.Builder
	starts := make([]int, len(t.parts))
	for i, p := range t.parts {
		starts[i] = name.Len()
		if p.ref != nil {
			name.WriteString(placeholder)
		} else {
			name.WriteString(p.literal)
		}
	}
	bad := checkName(t.bindType, name.String())
	if bad == nil {
		return nil
	}
	reason := fmt.Sprintf("gives no valid %s name: %s", t.bindType, bad.reason)
	if bad.offset < 0 {
		return &InputError{Field: "bind_name", Reason: reason}
	}
	i := len(starts) - 1
	for starts[i] > bad.offset {
		i--
	}
	return errorAt("bind_name", t.text, t.parts[i].offset+bad.offset-starts[i], reason)
}

// missing returns the sources that must be set before the name can be computed.
func (t *Template) missing(v *view) Sources {
	var needs Sources
	for _, p := range t.parts {
		if p.ref != nil {
			needs |= v.missing(p.ref.attribute)
		}
	}
	return needs
}

// render computes the name. Nothing may be missing. If there is no valid name,
// the reason says why, and name is what was computed, if anything.
func (t *Template) render(v *view) (name, reason string) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.ref == nil {
			b.WriteString(p.literal)
			continue
		}
		value, reason := interpolated(v, *p.ref, t.bindType.ForConsul())
		if reason != "" {
			return "", reason
		}
		b.WriteString(value)
	}
	if bad := checkName(t.bindType, b.String()); bad != nil {
		return b.String(), bad.reason
	}
	return grantedName(t.bindType, b.String()), ""
}

// interpolated returns the value of an attribute as it stands in a name. Consul
// lower-cases values, which makes two identities that differ in case one: whoever
// may choose the value chooses the other's name. A value that lower-casing would
// change is therefore refused; in what a Consul token gets it is lower-cased, since
// rules that come from Consul are to give there what they gave.
// An empty value is refused because it would make web-${pod.name} the name web-.
func interpolated(v *view, r ref, lower bool) (value, reason string) {
	value, present := v.textOf(r)
	if lower && len(value) <= maxGroupBytes {
		value = strings.ToLower(value)
	}
	switch {
	case !present:
		return "", fmt.Sprintf("%s is absent", r)
	case value == "":
		return "", fmt.Sprintf("%s is empty", r)
	case len(value) > maxGroupBytes:
		// Longer than any name; an annotation can have hundreds of KiB.
		return "", fmt.Sprintf("%s is %d bytes long, more than any name may be", r, len(value))
	case !utf8.ValidString(value):
		return "", fmt.Sprintf("%s is not valid UTF-8: %q", r, value)
	case strings.ToLower(value) != value:
		return "", fmt.Sprintf("%s is %q, which has upper-case letters; values are lower-cased in names, and that would be the name of another", r, value)
	}
	return value, ""
}
