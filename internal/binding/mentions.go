package binding

import (
	"regexp"
	"slices"
	"strings"
)

// The attributes by whose meaning a mount's configuration and a rule's own setting
// decide.
const (
	attributeAccountName     = "serviceaccount.name"
	attributeConsulNamespace = "consul.namespace"
)

// AttributeNames are the names of all attributes, in the order in which errors list
// them.
func AttributeNames() []string {
	names := make([]string, len(attributes))
	for i, a := range attributes {
		names[i] = a.name
	}
	return names
}

// DependsOnConsulNamespace tells whether the selector mentions the attribute that the
// mount's configuration maps namespaces to.
func (s *Selector) DependsOnConsulNamespace() bool {
	return mentionsAttribute(s.root, attributeConsulNamespace)
}

// DependingOnConsulNamespace returns the names of the rules that mention the attribute
// that the mount's configuration maps namespaces to.
func (s *RuleSet) DependingOnConsulNamespace() []string {
	return s.namesOf(func(rule *CompiledRule) bool { return rule.mentions(attributeConsulNamespace) })
}

// DependingOnAnnotation returns the names of the rules that an annotation of the
// service account can make see another serviceaccount.name.
func (s *RuleSet) DependingOnAnnotation() []string {
	return s.namesOf(func(rule *CompiledRule) bool {
		return rule.rule.UseServiceNameAnnotation && rule.mentions(attributeAccountName)
	})
}

func (s *RuleSet) namesOf(wanted func(*CompiledRule) bool) (names []string) {
	for _, e := range s.snapshot.Load().all() {
		if e.rule != nil && wanted(e.rule) {
			names = append(names, e.name)
		}
	}
	return names
}

// mentions tells whether selector or bind name mention an attribute.
func (c *CompiledRule) mentions(attribute string) bool {
	return mentionsAttribute(c.selector.root, attribute) ||
		slices.ContainsFunc(c.template.parts, func(p part) bool { return p.ref != nil && p.ref.name == attribute })
}

func mentionsAttribute(root node, attribute string) bool {
	in := func(operand node) bool { return mentionsAttribute(operand, attribute) }
	switch n := root.(type) {
	case and:
		return slices.ContainsFunc(n, in)
	case or:
		return slices.ContainsFunc(n, in)
	case not:
		return in(n.operand)
	case *comparison:
		return n.ref.name == attribute
	}
	return false
}

// DependsOnToken tells whether the selector mentions what differs between tokens of one
// service account, or the uid of the account.
func (s *Selector) DependsOnToken() bool {
	return slices.ContainsFunc(AttributeNames(), func(name string) bool {
		ofToken := name == "audiences" || name == "serviceaccount.uid" || strings.HasPrefix(name, "pod.") || strings.HasPrefix(name, "node.") ||
			name == "cluster.name" || name == attributeConsulNamespace // of the mount's configuration
		return ofToken && mentionsAttribute(s.root, name)
	})
}

// Fixed tells whether the template gives the same name to everybody.
func (t *Template) Fixed() bool {
	return !slices.ContainsFunc(t.parts, func(p part) bool { return p.ref != nil })
}

// CanBe tells whether there may be attributes for which the template gives a name.
func (t *Template) CanBe(name string) bool {
	var pattern strings.Builder
	for _, p := range t.parts {
		if p.ref != nil {
			pattern.WriteString(".*")
			continue
		}
		pattern.WriteString(regexp.QuoteMeta(grantedName(t.bindType, p.literal)))
	}
	return regexp.MustCompile("(?s)^" + pattern.String() + "$").MatchString(name)
}
