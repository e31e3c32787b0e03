package binding

import (
	"fmt"
	"slices"
	"strings"
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

// Kind is what a warning is about, in words for several rules at once: they follow the
// number of the rules.
type Kind string

// The kinds of warnings.
const (
	MatchesEverybody Kind = "match every service account of the cluster"
	NeedsAttribute   Kind = "take attributes for their names that need not be there: every login that one of them matches without is refused, whatever other rules grant"
	GivesOneName     Kind = "give two service accounts one name"
	ChosenByTenants  Kind = "name no namespace and go by what people in any namespace choose"
)

// Warning is what somebody who writes a rule should know.
type Warning struct {
	Kind Kind
	Text string // of this rule alone
}

// Warnings are what somebody who writes the rule should know: that it is for everybody
// without saying so, that it ends logins, that two service accounts get one name, and
// that what it asks for is chosen by whom nobody thinks of.
func (c *CompiledRule) Warnings(mount Setting) []Warning {
	var warnings []Warning
	switch {
	case strings.TrimSpace(c.rule.Selector) == Everything:
	case c.selector.MatchesAll():
		warnings = append(warnings, Warning{MatchesEverybody, "The rule matches every service account of the cluster. If that is meant, say so with selector='*'."})
	case c.selector.HoldsForAnybody(mount):
		warnings = append(warnings, Warning{MatchesEverybody, "The rule matches every service account of the cluster, or nearly: its selector holds whatever namespaces and names were tried. If that is meant, say so with selector='*'."})
	}
	for _, r := range c.uncertain(mount) {
		warnings = append(warnings, Warning{NeedsAttribute, uncertainLine(r)})
	}
	if line := c.collisionLine(mount); line != "" {
		warnings = append(warnings, Warning{GivesOneName, line})
	}
	if line := c.chosenLine(); line != "" {
		warnings = append(warnings, Warning{ChosenByTenants, line})
	}
	if c.rule.BindVarName != "" {
		for i := range warnings { // what is computed is not the name there
			warnings[i].Text = strings.ReplaceAll(warnings[i].Text, "bind_name ", "bind_vars ")
		}
	}
	return warnings
}

// UncertainRule is a rule whose bind name takes an attribute that need not be there.
type UncertainRule struct {
	Rule string
	// Reason is what the writer of the rule was told.
	Reason string
	// Selector is the rule's with which all that its bind name takes is there; empty if
	// that is a matter of the mount's configuration.
	Selector string
}

// Uncertain returns the rules that end logins by an attribute that is not there, by
// name, once for each attribute.
func (s *RuleSet) Uncertain(mount Setting) []UncertainRule {
	var found []UncertainRule
	for _, e := range s.snapshot.Load().all() {
		if e.rule == nil {
			continue
		}
		for _, r := range e.rule.uncertain(mount) {
			found = append(found, UncertainRule{Rule: e.name, Reason: uncertainLine(r), Selector: e.rule.certain(mount)})
		}
	}
	return found
}

// certain is the rule's selector, and that all that its bind name takes is there.
func (c *CompiledRule) certain(mount Setting) string {
	var wanted []string
	if _, everything := c.selector.root.(all); !everything {
		wanted = append(wanted, "("+c.rule.Selector+")")
	}
	for _, r := range c.uncertain(mount) {
		if r.name == clusterName || r.name == consulNamespace {
			return ""
		}
		wanted = append(wanted, r.String()+" is not empty")
	}
	return strings.Join(wanted, " and ")
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
	return fmt.Sprintf("bind_name takes %[1]s, which need not be there: every login that this rule matches without it is refused, whatever other rules grant. Add to the selector: %[1]s is not empty", r)
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

// chosenLine says who chooses what the rule asks for, if that is people in any
// namespace, since the rule names none.
func (c *CompiledRule) chosenLine() string {
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
			switch {
			case c.ref.keyed && c.ref.key == nameOfNamespace: // as good as the name itself
				return test && c.narrows()
			case c.test == isEmpty:
				return !test && c.ref.keyed
			case c.test == hasMember:
				return test && c.value != nameOfNamespace
			}
			return test // the label is there
		}
		return false
	})
}
