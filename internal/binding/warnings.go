package binding

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Setting is what of a mount's configuration bears on what its rules come to.
type Setting struct {
	// ClusterName is the attribute cluster.name; empty means that there is none.
	ClusterName string
	// MapsNamespaces tells whether there is an attribute consul.namespace.
	MapsNamespaces bool
	// NamedByAnnotation tells whether an annotation can stand in for
	// serviceaccount.name.
	NamedByAnnotation bool
}

// Warnings are what somebody who writes the rule should know, a line each: that it is
// for everybody without saying so, that it ends logins, that two service accounts get
// one name, and that what it asks for is chosen by whom nobody thinks of.
func (c *CompiledRule) Warnings(mount Setting) []string {
	var lines []string
	if c.selector.MatchesAll() && strings.TrimSpace(c.rule.Selector) != Everything {
		lines = append(lines, "The rule matches every service account of the cluster. If that is meant, say so with selector='*'.")
	}
	for _, r := range c.uncertain(mount) {
		lines = append(lines, uncertainLine(r))
	}
	if line := c.collisionLine(mount); line != "" {
		lines = append(lines, line)
	}
	if line := c.chosenLine(mount); line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Uncertain returns, for each rule of which it is so, by name, what the writer of the
// rule was told about attributes that its bind name takes and that need not be there.
func (s *RuleSet) Uncertain(mount Setting) []string {
	var lines []string
	for _, e := range s.snapshot.Load().all() {
		if e.rule == nil {
			continue
		}
		for _, r := range e.rule.uncertain(mount) {
			lines = append(lines, fmt.Sprintf("binding rule %q: %s", e.name, uncertainLine(r)))
		}
	}
	return lines
}

// uncertain are the attributes that the rule's bind name takes, and that need not be
// there where its selector matches. Each login by rules for which one is not there is
// refused.
func (c *CompiledRule) uncertain(mount Setting) []ref {
	var found []ref
	for _, r := range c.template.refs() {
		certain := r.kindOf() == kindText || r.name == clusterName && mount.ClusterName != "" ||
			r.name == consulNamespace && mount.MapsNamespaces
		if !certain && !ensures(c.selector.root, r) {
			found = append(found, r)
		}
	}
	return found
}

const (
	clusterName     = "cluster.name"
	consulNamespace = "consul.namespace"
	saName          = "serviceaccount.name"
	saNamespace     = "serviceaccount.namespace"
	namespaceLabels = "namespace.labels"
)

// uncertainLine says what to do about one attribute.
func uncertainLine(r ref) string {
	switch r.name {
	case clusterName:
		return "bind_name takes cluster.name, and the configuration has no cluster_name: every login by rules that matches this one is refused until it has."
	case consulNamespace:
		return "bind_name takes consul.namespace, and the configuration has no map_namespaces=true: every login by rules that matches this one is refused until it has."
	}
	return fmt.Sprintf("bind_name takes %[1]s, which need not be there: every login by rules that matches this rule without it is refused, whatever other rules grant. Add to the selector: %[1]s is not empty", r)
}

// refs are the attributes of the template, each once.
func (t *Template) refs() []ref {
	var found []ref
	for _, p := range t.parts {
		if p.ref != nil && !slices.Contains(found, *p.ref) {
			found = append(found, *p.ref)
		}
	}
	return found
}

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

// chosenLine says who chooses what the rule asks for, if that is people in any
// namespace, since the rule names none.
func (c *CompiledRule) chosenLine(mount Setting) string {
	if namesNamespace(c.selector.root) {
		return ""
	}
	var chosen, may []string
	add := func(a *attribute) {
		if a.chosenBy != "" && !slices.Contains(chosen, a.name) {
			chosen = append(chosen, a.name)
			if !slices.Contains(may, a.chosenBy) {
				may = append(may, a.chosenBy)
			}
		}
	}
	each(c.selector.root, true, func(comparison *comparison, test bool) {
		if test != (comparison.test == isEmpty) {
			add(comparison.ref.attribute)
		}
	})
	tells := slices.ContainsFunc(c.template.refs(), func(r ref) bool {
		return r.name == saNamespace || r.name == namespaceLabels || r.name == consulNamespace || r.name == "serviceaccount.uid"
	})
	if !tells {
		for _, r := range c.template.refs() {
			add(r.attribute)
		}
	}
	if len(chosen) == 0 {
		return ""
	}
	return fmt.Sprintf(`The rule names no namespace, so whoever may %s, in any namespace, chooses %s. To bind it to one: %s == "NAMESPACE"`,
		strings.Join(may, ", or "), strings.Join(chosen, " and "), saNamespace)
}

// namesNamespace tells whether the expression holds in some namespaces only, or for
// one service account only.
func namesNamespace(root node) bool {
	return implies(root, true, func(c *comparison, test bool) bool {
		switch c.ref.name {
		case saNamespace, consulNamespace:
			return test && c.narrows()
		case "serviceaccount.uid", "pod.uid":
			return test && c.test == equals
		case namespaceLabels:
			if c.test == isEmpty {
				return !test && c.ref.keyed
			}
			return test && (c.test == hasMember || c.narrows())
		}
		return false
	})
}
