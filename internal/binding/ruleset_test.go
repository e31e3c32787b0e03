package binding

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
)

func TestCompileNamesTheField(t *testing.T) {
	good := Rule{Name: "r", Description: "d", Selector: `pod.name == "x"`, BindType: BindPolicy, BindName: "p"}
	for _, row := range []struct {
		field  string
		column int
		change func(*Rule)
	}{
		{"name", 0, func(r *Rule) { r.Name = "" }},
		{"selector", 13, func(r *Rule) { r.Selector = `pod.name == ` }},
		{"bind_type", 0, func(r *Rule) { r.BindType = "token" }},
		{"bind_name", 3, func(r *Rule) { r.BindName = "${x}" }},
	} {
		rule := good
		row.change(&rule)
		_, err := Compile(rule)
		if input := inputError(t, err, row.field); input.Column != row.column {
			t.Errorf("%s: column %d, want %d: %v", row.field, input.Column, row.column, err)
		}
	}
	compiled, err := Compile(good)
	if err != nil {
		t.Fatal(err)
	}
	if compiled.Rule() != good {
		t.Errorf("the compiled rule is of %+v, want %+v", compiled.Rule(), good)
	}
}

// A rule that is written again is found by what it says now, wherever it was
// found before.
func TestRuleSetReplaces(t *testing.T) {
	selectors := []string{
		``,
		`serviceaccount.namespace == "ci"`,
		`serviceaccount.name == "web"`,
		`serviceaccount.namespace == "ci" and serviceaccount.name == "web"`,
		`pod.name == "runner-7"`,
		`serviceaccount.namespace == "x"`,
		`serviceaccount.name == "x"`,
		`serviceaccount.namespace == "x" and serviceaccount.name == "web"`,
		`pod.name == "x"`,
	}
	const matching = 5
	set := NewRuleSet()
	for _, from := range selectors {
		for i, to := range selectors {
			put(t, set, Rule{Name: "r", Selector: from})
			put(t, set, Rule{Name: "r", Selector: to})
			var want []string
			if i < matching {
				want = []string{"r"}
			}
			grants, err := runner().login(t).bind(set)
			if err != nil || !slices.Equal(grants.Rules, want) || set.Len() != 1 {
				t.Errorf("from %q to %q: %d rules, matched %q, want %q (%v)", from, to, set.Len(), grants.Rules, want, err)
			}
		}
		set.Delete("r")
		grants, err := runner().login(t).bind(set)
		if err != nil || !grants.Empty() || set.Len() != 0 {
			t.Errorf("deleted, and still %d rules and %+v (%v)", set.Len(), grants, err)
		}
	}
}

func TestRuleSetBroken(t *testing.T) {
	set := rulesOf(t, Rule{Name: "b"}, Rule{Name: "a"})
	failure := errors.New("unknown attribute")
	set.PutBroken("b", failure)
	set.PutBroken("c", failure)
	if want := []BrokenRule{{"b", failure}, {"c", failure}}; !reflect.DeepEqual(set.Broken(), want) {
		t.Errorf("broken are %v, want %v", set.Broken(), want)
	}
	if grants, err := runner().login(t).bind(set); err != nil || !slices.Equal(grants.Rules, []string{"a"}) || set.Len() != 3 {
		t.Errorf("of %d rules %q match (%v)", set.Len(), grants.Rules, err)
	}
	put(t, set, Rule{Name: "b"})
	set.Delete("c")
	set.Delete("never there")
	if grants, err := runner().login(t).bind(set); err != nil || !slices.Equal(grants.Rules, []string{"a", "b"}) || set.Broken() != nil || set.Len() != 2 {
		t.Errorf("of %d rules %q match, %v are broken (%v)", set.Len(), grants.Rules, set.Broken(), err)
	}
}

// Rule names and pinned values that run into each other must not make two rules
// one.
func TestRuleSetKeysAreDistinct(t *testing.T) {
	set := rulesOf(t,
		Rule{Name: "y", Selector: "serviceaccount.name == \"x\"", BindType: BindPolicy, BindName: "p1"},
		Rule{Name: "y", Selector: "serviceaccount.name == \"web\"", BindType: BindPolicy, BindName: "p2"},
		Rule{Name: "c\x00d", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`, BindType: BindPolicy, BindName: "p3"},
		Rule{Name: "d", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web\x00c"`, BindType: BindPolicy, BindName: "p4"},
		Rule{Name: "web\x00z", Selector: ``, BindType: BindPolicy, BindName: "p5"},
		Rule{Name: "z", Selector: ``, BindType: BindPolicy, BindName: "p6"},
		Rule{Name: "e", Selector: `serviceaccount.name == "we"`, BindType: BindPolicy, BindName: "p7"},
	)
	grants, err := runner().login(t).bind(set)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"p2", "p3", "p5", "p6"}; !slices.Equal(grants.Policies, want) || set.Len() != 6 {
		t.Errorf("of %d rules, got %q, want %q", set.Len(), grants.Policies, want)
	}
	c := runner()
	for _, rule := range overriding(
		Rule{Name: "d", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web\x00c"`, BindType: BindPolicy, BindName: "p4"},
		Rule{Name: "o", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`, BindType: BindPolicy, BindName: "p8"},
	) {
		put(t, set, rule)
	}
	c.override, c.annotations = "name", map[string]string{"name": "web\x00c"}
	if grants, err := c.login(t).bind(set); err != nil || !slices.Equal(grants.Policies, []string{"p2", "p3", "p4", "p5", "p6"}) {
		t.Errorf("with the override, got %q (%v)", grants.Policies, err)
	}
}

// The cost of a login must not grow with rules that are for others.
func TestIndexLeavesOutRulesForOthers(t *testing.T) {
	const others = 500
	for name, selector := range map[string]string{
		"both":                     `serviceaccount.namespace == "ns-%d" and serviceaccount.name == "web"`,
		"both, in parentheses":     `(pod.name is empty or pod.name != "y") and ((serviceaccount.namespace == "ns-%d") and serviceaccount.name == "web")`,
		"namespace":                `serviceaccount.namespace == "ns-%d" and pod.name matches "^runner"`,
		"name":                     `serviceaccount.name == "name-%d"`,
		"namespace that begins so": `serviceaccount.namespace == "ci-%d"`,
		"name that begins so":      `serviceaccount.name == "web-%d"`,
		"name, and what it lacks":  `namespace.labels.team == "ci" and serviceaccount.name == "web-%d"`,
		"namespace in another one": `serviceaccount.namespace == "ns-%d" and serviceaccount.namespace == "ns-x"`,
	} {
		t.Run(name, func(t *testing.T) {
			set := rulesOf(t, Rule{Name: "mine", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`}, Rule{Name: "rest", Selector: `pod.name matches "^runner-"`})
			for i := range others {
				put(t, set, Rule{Name: fmt.Sprintf("other-%d", i), Selector: fmt.Sprintf(selector, i)})
			}
			l := runner().login(t)
			b := set.binder(t.Context(), classVault, l.attrs.ForRules(""), l.fetch)
			if err := b.match(); err != nil {
				t.Fatal(err)
			}
			if b.considered != 2 || len(b.matched) != 2 {
				t.Errorf("of %d rules, %d were evaluated and %d match; want 2 and 2", set.Len(), b.considered, len(b.matched))
			}
		})
	}
}

// While an annotation may replace the name, the rules for other names count only
// until one of them needs the annotation.
func TestIndexIsUsedOnceTheOverrideIsKnown(t *testing.T) {
	set := rulesOf(t, overriding(
		Rule{Name: "rest", Selector: `pod.name matches "^runner-"`},
		Rule{Name: "mine", Selector: `serviceaccount.name == "other"`},
		Rule{Name: "mine here", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "other"`},
		// Considered before any other, and pending when the name gets known.
		Rule{Name: "a label too", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "other" and namespace.labels.team == "ci"`},
	)...)
	for i := range 500 {
		put(t, set, Rule{Name: fmt.Sprintf("name-%d", i), Selector: fmt.Sprintf(`serviceaccount.name == "other-%d"`, i), UseServiceNameAnnotation: true})
		put(t, set, Rule{Name: fmt.Sprintf("both-%d", i), Selector: fmt.Sprintf(`serviceaccount.namespace == "ci" and serviceaccount.name == "other-%d"`, i), UseServiceNameAnnotation: true})
	}
	l := runner().with(func(c *cluster) { c.override = "consul.hashicorp.com/service-name" }).login(t)
	b := set.binder(t.Context(), classVault, l.attrs.ForRules(l.cluster.override), l.fetch)
	if err := b.match(); err != nil {
		t.Fatal(err)
	}
	var matched []string
	for _, e := range b.matched {
		matched = append(matched, e.name)
	}
	if want := []string{"a label too", "mine", "mine here", "rest"}; b.considered > 6 || !slices.Equal(matched, want) {
		t.Errorf("of %d rules, %d were evaluated and %q match, want at most 6 and %q", set.Len(), b.considered, matched, want)
	}
}

func TestRuleSetGet(t *testing.T) {
	set := rulesOf(t, Rule{Name: "a", Description: "d"})
	set.PutBroken("b", errors.New("broken"))
	if rule, ok := set.Get("a"); !ok || rule.Name != "a" || rule.Description != "d" || rule.BindName != "a" {
		t.Errorf("got %+v, %v", rule, ok)
	}
	for _, name := range []string{"b", "c", ""} {
		if rule, ok := set.Get(name); ok || rule != (Rule{}) {
			t.Errorf("%q: got %+v, %v", name, rule, ok)
		}
	}
}

func TestExplain(t *testing.T) {
	set := rulesOf(t,
		Rule{Name: "d", Selector: `pod.name == "runner-7"`, BindType: BindService, BindName: "${serviceaccount.name}"},
		Rule{Name: "c", Selector: `serviceaccount.namespace == "default"`, BindType: BindRole, BindName: "x"},
		Rule{Name: "b", Selector: `pod.name == "runner-7" and namespace.labels.team == "x"`},
	)
	set.PutBroken("a", errors.New("unknown attribute"))
	l := runner().login(t)
	got, grants, err := l.explain(set)
	if err != nil {
		t.Fatal(err)
	}
	want := []Explanation{
		{Rule: "a", Outcome: Broken, Reason: "unknown attribute"},
		{Rule: "b", BindType: BindPolicy, Outcome: NotMatched, Reason: `namespace.labels.team == "x" is false: namespace.labels["team"] is "ci"`},
		{Rule: "c", BindType: BindRole, Outcome: NotMatched, Reason: `serviceaccount.namespace == "default" is false: serviceaccount.namespace is "ci"`},
		{Rule: "d", BindType: BindService, Outcome: Matched, Name: "web"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if want := (Grants{Services: []string{"web"}, Rules: []string{"d"}}); !reflect.DeepEqual(grants, want) {
		t.Errorf("granted %+v, want %+v", grants, want)
	}
	if !slices.Equal(l.fetched, []Source{Namespace}) {
		t.Errorf("fetched %v", l.fetched)
	}
}

func TestExplainGoesOnAfterAnInvalidName(t *testing.T) {
	set := rulesOf(t,
		Rule{Name: "a", BindType: BindService, BindName: "${serviceaccount.annotations.mixed}"},
		Rule{Name: "b", BindType: BindService, BindName: "${pod.name}${serviceaccount.annotations.path}"},
		Rule{Name: "c"},
	)
	got, grants, err := runner().login(t).explain(set)
	var invalid *InvalidNameError
	if !errors.As(err, &invalid) || invalid.Rule != "a" {
		t.Errorf("the error is %v, want that of rule a", err)
	}
	var outcomes []Outcome
	for _, explanation := range got {
		outcomes = append(outcomes, explanation.Outcome)
	}
	if want := []Outcome{InvalidName, InvalidName, Matched}; !slices.Equal(outcomes, want) {
		t.Errorf("outcomes %q, want %q", outcomes, want)
	}
	if !reflect.DeepEqual(grants, Grants{}) {
		t.Errorf("a failed login was granted %+v", grants)
	}
}

// A look-up that fails after a name was found invalid must not hide which rule
// fails the login.
func TestExplainReportsTheFirstFailure(t *testing.T) {
	set := rulesOf(t,
		Rule{Name: "a", BindType: BindService, BindName: "x-${pod.name}"},
		Rule{Name: "b", BindType: BindService, BindName: "${namespace.labels.team}"},
	)
	c := bare()
	c.refuse = map[Source]error{Namespace: errors.New("forbidden")}
	got, _, err := c.login(t).explain(set)
	var invalid *InvalidNameError
	if !errors.As(err, &invalid) || invalid.Rule != "a" || len(got) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := c.login(t).bind(set); !errors.As(err, &invalid) || invalid.Rule != "a" {
		t.Errorf("bound with %v", err)
	}
}

func TestRuleSetFind(t *testing.T) {
	set := rulesOf(t, Rule{Name: "b", BindType: BindPolicy, BindName: "p"})
	broken := errors.New("broken")
	set.PutBroken("a", broken)
	if rule, found, err := set.Find("b"); rule.BindName != "p" || !found || err != nil {
		t.Errorf("b: %+v, %t, %v", rule, found, err)
	}
	if _, found, err := set.Find("a"); !found || !errors.Is(err, broken) {
		t.Errorf("a: %t, %v", found, err)
	}
	if _, found, err := set.Find("c"); found || err != nil {
		t.Errorf("c: %t, %v", found, err)
	}
	if names := set.Names(); !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("the names are %q", names)
	}
}
