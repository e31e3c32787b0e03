package binding

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// collisionLine says that the template gives two service accounts one name, and what
// to write in its place.
func (c *CompiledRule) collisionLine(mount Setting) string {
	found := c.collision(c.template, mount)
	if found == nil {
		return ""
	}
	var names []string
	for _, p := range c.template.parts {
		if p.ref != nil && !c.constant(*p.ref) {
			names = append(names, p.ref.String())
		}
	}
	line := fmt.Sprintf("bind_name gives two service accounts one name: %s is that of %s %s, and of %s.",
		found.name, strings.Join(names, " and "), quoted(found.first), quoted(found.second))
	if better := c.apart(mount); better != "" {
		line += fmt.Sprintf(" %s keeps them apart.", better)
	}
	return line
}

func quoted(values []string) string {
	words := make([]string, len(values))
	for i, value := range values {
		words[i] = fmt.Sprintf("%q", value)
	}
	return strings.Join(words, " and ")
}

// constant tells whether the attribute is the same wherever the rule matches.
func (c *CompiledRule) constant(r ref) bool {
	_, isPinned := pinned(c.selector.root, r)
	return isPinned || r.name == clusterName
}

// collision finds a name that a template gives two service accounts; nil if there is
// none. Where an attribute stands in a template twice, it is taken for two.
func (c *CompiledRule) collision(t *Template, mount Setting) *collision {
	variable := slices.DeleteFunc(t.refs(), c.constant)
	if len(variable) < 2 {
		return nil
	}
	var parts []language
	chars := nameChars
	for _, p := range t.parts {
		switch {
		case p.ref != nil:
			parts = append(parts, c.languageOf(*p.ref, mount))
		case p.literal != "":
			parts = append(parts, literalPart(p.literal))
		}
	}
	for _, part := range parts {
		chars += part.literal
	}
	return collide(parts, t.bindType.charsOf(chars))
}

// charsOf are the bytes, each once, that can be in the middle of a name of the type.
func (t BindType) charsOf(text string) []byte {
	var found []byte
	for _, char := range []byte(text) {
		ascii := char < utf8.RuneSelf
		if !slices.Contains(found, char) && (!ascii || checkName(t, placeholder+string(char)+placeholder) == nil) {
			found = append(found, char)
		}
	}
	return found
}

// nameChars are the characters that values are tried with: those that Kubernetes has in
// names and labels, and some that only annotations can have.
const nameChars = "abcdefghijklmnopqrstuvwxyz0123456789-_./: "

func (c *CompiledRule) languageOf(r ref, mount Setting) language {
	if value, isPinned := pinned(c.selector.root, r); isPinned && value != "" {
		return literalPart(value)
	}
	switch r.name {
	case clusterName:
		return literalPart(orPlaceholder(mount.ClusterName))
	case saNamespace:
		return language{shape: shapeLabel}
	case saName:
		if mount.NamedByAnnotation {
			return language{shape: shapeAny}
		}
		return language{shape: shapeSubdomain}
	case "pod.name", "node.name":
		return language{shape: shapeSubdomain}
	case "serviceaccount.uid", "pod.uid", "node.uid":
		return language{shape: shapeUID}
	case namespaceLabels, "serviceaccount.labels":
		return language{shape: shapeValue}
	}
	return language{shape: shapeAny}
}

func orPlaceholder(text string) string {
	if text == "" {
		return placeholder
	}
	return text
}

// apart is the template with another text between its attributes, by which no two
// service accounts get one name; empty if there is none so simple.
func (c *CompiledRule) apart(mount Setting) string {
	for _, separator := range []string{"_", ":", "/"} {
		text := c.template.separated(separator)
		t, err := CompileTemplate(c.template.bindType, text)
		if err == nil && c.collision(t, mount) == nil {
			return text
		}
	}
	return ""
}

// separated is the text of the template with the separator between attributes.
func (t *Template) separated(separator string) string {
	var text strings.Builder
	seen := false
	pending := ""
	for _, p := range t.parts {
		switch {
		case p.ref != nil && seen:
			text.WriteString(separator)
			fallthrough
		case p.ref != nil:
			text.WriteString("${" + p.ref.String() + "}")
			seen, pending = true, ""
		case seen:
			pending += p.literal
		default:
			text.WriteString(strings.ReplaceAll(p.literal, "${", "$${"))
		}
	}
	text.WriteString(strings.ReplaceAll(pending, "${", "$${"))
	return text.String()
}
