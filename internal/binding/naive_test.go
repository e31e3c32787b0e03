package binding

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-bexpr"
	"github.com/hashicorp/hil"
	"github.com/hashicorp/hil/ast"
)

// The naive evaluator is the one that Consul has: go-bexpr over the attributes
// and HIL over the variables, all rules one after the other, everything known.
// The index, the three-valued logic and the own reading of and, or, not and
// parentheses must change nothing.

// naiveSteps bounds go-bexpr's parser, which takes four times as many for each
// level of parentheses.
const naiveSteps = 20_000_000

func (c cluster) naiveMatch(selector string) (bool, error) {
	if selector == "" {
		return true, nil
	}
	evaluator, err := bexpr.CreateEvaluator(selector, bexpr.WithMaxExpressions(naiveSteps))
	if err != nil {
		return false, err
	}
	return evaluator.Evaluate(c.tree())
}

// variables are the attributes as HIL sees them. Values that are empty or have
// upper-case letters are left out, so that naming one is an error.
func (c cluster) variables() map[string]ast.Variable {
	variables := map[string]ast.Variable{}
	text := func(name, value string) {
		if value != "" && strings.ToLower(value) == value {
			variables[name] = ast.Variable{Type: ast.TypeString, Value: value}
		}
	}
	text("serviceaccount.namespace", c.namespace)
	text("serviceaccount.name", c.ruleName())
	text("serviceaccount.uid", c.uid)
	text("pod.name", c.pod)
	text("pod.uid", c.podUID)
	text("node.name", c.node)
	text("node.uid", c.nodeUID)
	text("cluster.name", c.clusterName)
	text("consul.namespace", c.consulNamespace)
	for name, entries := range map[string]map[string]string{
		"serviceaccount.labels": c.labels, "serviceaccount.annotations": c.annotations, "namespace.labels": c.namespaceLabels,
	} {
		byKey := map[string]ast.Variable{}
		for key, value := range entries {
			text(name+"."+key, value)
			if v, ok := variables[name+"."+key]; ok {
				byKey[key] = v
			}
		}
		variables[name] = ast.Variable{Type: ast.TypeMap, Value: byKey}
	}
	return variables
}

func (c cluster) naiveName(template string) (string, error) {
	if !strings.Contains(template, "${") {
		return template, nil
	}
	tree, err := hil.Parse(template)
	if err != nil {
		return "", err
	}
	result, err := hil.Eval(tree, &hil.EvalConfig{GlobalScope: &ast.BasicScope{VarMap: c.variables()}})
	if err != nil {
		return "", err
	}
	name, ok := result.Value.(string)
	if !ok {
		return "", fmt.Errorf("a %s, not a text", result.Type)
	}
	return name, nil
}

var naiveNames = map[BindType]*regexp.Regexp{
	BindService: regexp.MustCompile(`^[a-z0-9]([a-z0-9\-_]*[a-z0-9])?$`),
	BindNode:    regexp.MustCompile(`^[a-z0-9]([a-z0-9\-_]*[a-z0-9])?$`),
	BindRole:    regexp.MustCompile(`^[A-Za-z0-9\-_]+(\.[A-Za-z0-9\-_]+)*$`),
	BindPolicy:  regexp.MustCompile(`^[^\pC,]{1,256}$`),
	BindGroup:   regexp.MustCompile(`^[^\pC]{1,512}$`),
}

// naiveBind returns what the rules grant, or the first rule that fails the login.
func (c cluster) naiveBind(rules map[string]Rule) (grants Grants, failed string, err error) {
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		rule := rules[name]
		matched, err := c.seenBy(rule).naiveMatch(rule.Selector)
		if err != nil {
			return Grants{}, "", fmt.Errorf("%s: %w", rule.Selector, err)
		}
		if !matched {
			continue
		}
		bound, err := c.seenBy(rule).naiveName(rule.BindName)
		if err != nil || !naiveNames[rule.BindType].MatchString(bound) || bound == "root" && rule.BindType == BindPolicy {
			return Grants{}, name, nil
		}
		if rule.BindType == BindPolicy {
			bound = strings.ToLower(bound)
		}
		grants.add(rule, bound)
	}
	grants.sort()
	return grants, "", nil
}

// generator makes random rules and identities from few words, so that they often
// have something to do with each other.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 3))} }

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

// word is a value of an attribute.
func (g generator) word() string { return g.pick("a", "b", "ab", "ba", "abc", "root") }

func (g generator) maybe(value string) string {
	if g.IntN(3) == 0 {
		return ""
	}
	return value
}

func (g generator) entries() map[string]string {
	entries := map[string]string{}
	for range g.IntN(4) {
		entries[g.pick("k", "l", "m/n", "name")] = g.pick("", "a", "b", "ab", "Ab", "a b")
	}
	return entries
}

func (g generator) cluster() cluster {
	c := cluster{
		namespace: g.word(), name: g.word(), uid: g.word(),
		pod: g.maybe(g.word()), podUID: g.maybe(g.word()), node: g.maybe(g.word()), nodeUID: g.maybe(g.word()),
		clusterName: g.maybe(g.word()), consulNamespace: g.maybe(g.word()),
		labels: g.entries(), annotations: g.entries(), namespaceLabels: g.entries(),
	}
	// An identity has a pod with name and uid or none, and a node only with a pod.
	if c.pod == "" || c.podUID == "" {
		c.pod, c.podUID, c.node = "", "", ""
	}
	if c.node == "" || c.nodeUID == "" {
		c.node, c.nodeUID = "", ""
	}
	for range g.IntN(3) {
		c.audiences = append(c.audiences, g.word())
	}
	if g.IntN(2) == 0 {
		c.override = "name"
	}
	return c
}

// again is the same identity with other labels and annotations.
func (g generator) again(c cluster, unknown Sources) cluster {
	if unknown.Has(ServiceAccount) {
		c.labels, c.annotations = g.entries(), g.entries()
	}
	if unknown.Has(Namespace) {
		c.namespaceLabels = g.entries()
	}
	return c
}

func (g generator) mapPath() string {
	return g.pick("serviceaccount.labels", "serviceaccount.annotations", "namespace.labels")
}

func (g generator) comparison() string {
	value := g.pick(`"%s"`, "`%s`", "%s")
	value = fmt.Sprintf(value, g.word())
	switch g.IntN(8) {
	case 0, 1:
		return g.pick("serviceaccount.namespace", "serviceaccount.name") + g.pick(" == ", "==", " != ", " == ") + value
	case 2:
		return g.pick("pod.name", "pod.uid", "node.name", "node.uid", "cluster.name", "consul.namespace") + g.pick(" is empty", " is not empty")
	case 3:
		return value + g.pick(" in ", " not in ") + g.pick(g.mapPath(), "audiences", "serviceaccount.name", "pod.name", g.mapPath()+".k")
	case 4:
		return g.pick(g.mapPath(), "audiences", "serviceaccount.uid", "node.name", g.mapPath()+".l") + g.pick(" contains ", " not contains ") + value
	case 5:
		return g.pick("serviceaccount.uid", "serviceaccount.name", "pod.name", "cluster.name", g.mapPath()+".k") + g.pick(" matches ", " not matches ") + g.pick("`^a`", `"b$"`, `"a|c"`, `".*"`, `"^ab?$"`)
	case 6:
		return g.mapPath() + g.pick(".k", ".l", `["m/n"]`, `["k"]`, "[ `name` ]") + g.pick(" == "+value, " != "+value, " is empty", " is not empty")
	default:
		return g.pick(`"/pod/name" == `, `"/serviceaccount/labels/m~1n" != `, `"/serviceaccount/name" == `) + value
	}
}

func (g generator) expression(depth int) string {
	switch n := g.IntN(8); {
	case depth == 0 || n < 3:
		return g.comparison()
	case n == 3:
		return "not " + g.pick("(", "( ") + g.expression(depth-1) + ")"
	case n == 4:
		return "not " + g.comparison()
	case n < 6:
		return g.expression(depth-1) + " and " + g.expression(depth-1)
	case n == 6:
		return g.expression(depth-1) + " or " + g.expression(depth-1)
	default:
		return "(" + g.pick("", " ") + g.expression(depth-1) + " or\n" + g.expression(depth-1) + ")"
	}
}

func (g generator) selector() string {
	switch g.IntN(6) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("serviceaccount.namespace == %s and serviceaccount.name == %q", g.word(), g.word())
	case 2:
		return fmt.Sprintf("serviceaccount.name == %s and (%s)", g.word(), g.expression(2))
	}
	return g.expression(3)
}

func (g generator) rule(name string) Rule {
	rule := Rule{Name: name, Selector: g.selector(), BindType: BindTypes[g.IntN(len(BindTypes))], BindName: g.word() + "-x"}
	rule.UseServiceNameAnnotation = g.IntN(2) == 0
	if g.IntN(4) == 0 {
		rule.BindName = g.pick("${serviceaccount.name}", "x${serviceaccount.namespace}-${serviceaccount.uid}", "${pod.name}", "p-${cluster.name}",
			"${serviceaccount.labels.k}", `n${namespace.labels["m/n"]}`, "${serviceaccount.annotations.l}")
		// Rules that often fail the login would hide all others.
		if g.IntN(3) > 0 {
			rule.Selector = "pod.name is not empty and serviceaccount.labels.k == a and " + g.comparison()
		}
	}
	return rule
}

// rules makes a rule set that was written to and deleted from, and what should be
// in it.
func (g generator) rules(t *testing.T) (*RuleSet, map[string]Rule) {
	set, want := NewRuleSet(), map[string]Rule{}
	for range 10 + g.IntN(30) {
		name := fmt.Sprintf("r%02d", g.IntN(20))
		switch g.IntN(6) {
		case 0:
			set.Delete(name)
			delete(want, name)
		case 1:
			set.PutBroken(name, errors.New("broken"))
			delete(want, name)
		default:
			rule := g.rule(name)
			put(t, set, rule)
			want[name] = rule
		}
	}
	return set, want
}

func TestSelectorIsGoBexprs(t *testing.T) {
	counts := map[bool]int{}
	for seed := range uint64(3000) {
		g := newGenerator(seed)
		text, c := g.expression(3), g.cluster()
		c.override = ""
		want, err := c.naiveMatch(text)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		selector, err := CompileSelector(text)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		if got := selector.Evaluate(c.set(c.attributes(t), allSources)); got != (Verdict{Matched: want}) {
			t.Fatalf("seed %d: %s is %+v, go-bexpr says %v of %+v", seed, text, got, want, c)
		}
		counts[want]++
	}
	if counts[true] < 500 || counts[false] < 500 {
		t.Errorf("the generator is lopsided: %v", counts)
	}
}

// What is decided before everything is known must not depend on what is unknown.
func TestVerdictHoldsForWhateverIsUnknown(t *testing.T) {
	decided, open := 0, 0
	for seed := range uint64(1500) {
		g := newGenerator(seed)
		text, c := g.expression(3), g.cluster()
		c.override = ""
		known := Sources(g.IntN(4))
		selector, err := CompileSelector(text)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		verdict := selector.Evaluate(c.set(c.attributes(t), known))
		if verdict.Needs&known != 0 || verdict.Needs&^allSources != 0 || verdict.Needs != 0 && verdict.Matched {
			t.Fatalf("seed %d: %s, knowing %b, is %+v", seed, text, known, verdict)
		}
		if verdict.Needs != 0 {
			open++
			continue
		}
		decided++
		for range 4 {
			other := g.again(c, allSources&^known)
			if want, err := other.naiveMatch(text); err != nil || want != verdict.Matched {
				t.Fatalf("seed %d: %s, knowing %b, is %+v, and %v of %+v (%v)", seed, text, known, verdict, want, other, err)
			}
		}
	}
	if decided < 500 || open < 150 {
		t.Errorf("the generator is lopsided: %d decided, %d open", decided, open)
	}
}

func TestBindIsTheNaiveBind(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(800) {
		g := newGenerator(seed)
		set, rules := g.rules(t)
		c := g.cluster()
		want, failed, err := c.naiveBind(rules)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		bound, explained := c.login(t), c.login(t)
		got, err := bound.bind(set)
		check := func(how string, got Grants, err error) {
			var invalid *InvalidNameError
			if failed == "" && (err != nil || !reflect.DeepEqual(got, want)) {
				t.Fatalf("seed %d, %s: got %+v, %v, want %+v; %+v; %+v", seed, how, got, err, want, c, rules)
			}
			if failed != "" && (!errors.As(err, &invalid) || invalid.Rule != failed) {
				t.Fatalf("seed %d, %s: the error is %v, want that of %s %+v; %+v", seed, how, err, failed, rules[failed], c)
			}
		}
		check("bound", got, err)
		_, got, err = explained.explain(set)
		check("explained", got, err)
		// Of a login that fails, explain computes the other names too.
		if failed == "" && bound.asked() != explained.asked() {
			t.Fatalf("seed %d: bind fetched %v, explain %v", seed, bound.fetched, explained.fetched)
		}
		switch {
		case failed != "":
			outcomes["failed"]++
		case want.Empty():
			outcomes["nothing"]++
		default:
			outcomes["granted"]++
		}
		outcomes[fmt.Sprintf("fetched %d", len(bound.fetched))]++
	}
	t.Log(outcomes)
	for _, outcome := range []string{"failed", "granted", "fetched 0", "fetched 1", "fetched 2"} {
		if outcomes[outcome] < 20 {
			t.Errorf("the generator is lopsided: %v", outcomes)
		}
	}
}
