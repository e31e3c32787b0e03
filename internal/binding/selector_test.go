package binding

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSelectorEvaluates(t *testing.T) {
	for _, row := range []struct {
		name     string
		selector string
		// match and absent are the outcomes for an identity with everything
		// and for one with nothing optional.
		match, absent bool
	}{
		{"the empty expression", ``, true, true},

		// Consul's three, Consul's six operators.
		{"equal", `serviceaccount.namespace == "ci"`, true, true},
		{"not equal", `serviceaccount.name != web`, false, false},
		{"unquoted value", `serviceaccount.name == web`, true, true},
		{"backquoted value", "serviceaccount.uid == `uid-1`", true, true},
		{"no white space", `serviceaccount.name=="web"`, true, true},
		{"another case", `serviceaccount.name == "Web"`, false, false},
		{"part of the text", `serviceaccount.name == "we"`, false, false},
		{"in is part of", `"we" in serviceaccount.name`, true, true},
		{"not in", `"we" not in serviceaccount.name`, false, false},
		{"contains is in", `serviceaccount.name contains "eb"`, true, true},
		{"not contains", `serviceaccount.name not contains "eb"`, false, false},
		{"matches is not anchored", `serviceaccount.name matches "e"`, true, true},
		{"matches, anchored", `serviceaccount.name matches "^e"`, false, false},
		{"matches the end of the text only", `serviceaccount.name matches "^web$"`, true, true},
		{"not matches", `serviceaccount.namespace not matches "^kube-"`, true, true},
		{"JSON pointer", `"/serviceaccount/name" == "web"`, true, true},

		// and, or, not.
		{"and binds tighter than or", `serviceaccount.name == "web" or serviceaccount.name == "x" and serviceaccount.name == "y"`, true, true},
		{"parentheses", `(serviceaccount.name == "web" or serviceaccount.name == "x") and serviceaccount.name == "y"`, false, false},
		{"not binds tighter than and", `not serviceaccount.name == "x" and serviceaccount.name == "web"`, true, true},
		{"not of a group", `not (serviceaccount.name == "x" or serviceaccount.name == "web")`, false, false},
		{"not not", `not not serviceaccount.name == "web"`, true, true},
		{"white space everywhere", " (\tserviceaccount.name\n==\r\n\"web\" ) ", true, true},
		{"deeper than go-bexpr's own parser goes", `((((((((((serviceaccount.name == "web"))))))))))`, true, true},

		// What may be absent: one rule.
		{"equal", `pod.name == "runner-7"`, true, false},
		{"not equal holds for what is absent", `pod.name != "runner-8"`, true, true},
		{"matches anything", `pod.name matches ".*"`, true, false},
		{"not matches anything", `pod.name not matches ".*"`, false, true},
		{"is empty", `pod.name is empty`, false, true},
		{"is not empty", `pod.uid is not empty`, true, false},
		{"node", `node.name == "node-1" and node.uid == "node-uid-1"`, true, false},
		{"cluster", `cluster.name == "east"`, true, false},
		{"consul namespace", `consul.namespace == "k8s-ci"`, true, false},

		// Maps.
		{"label", `namespace.labels.team == "ci"`, true, false},
		{"label, other value", `namespace.labels.team != "ci"`, false, true},
		{"label that nobody has", `namespace.labels.nothing == "ci"`, false, false},
		{"label that nobody has, negated", `not namespace.labels.nothing == "ci"`, true, true},
		{"label that nobody has matches anything", `namespace.labels.nothing matches ""`, false, false},
		{"label by index", `serviceaccount.labels["app.kubernetes.io/name"] == "shop"`, true, false},
		{"label by JSON pointer", `"/serviceaccount/labels/app.kubernetes.io~1name" == "shop"`, true, false},
		{"label without value is empty", `serviceaccount.labels.blank is empty`, true, true},
		{"label without value is present", `"blank" in serviceaccount.labels`, true, false},
		{"key", `"team" in namespace.labels`, true, false},
		{"key, negated", `"team" not in namespace.labels`, false, true},
		{"map contains key", `namespace.labels contains team`, true, false},
		{"map contains a value and not the key", `namespace.labels contains "ci"`, false, false},
		{"part of a key", `"tea" in namespace.labels`, false, false},
		{"map is empty", `namespace.labels is empty`, false, true},
		{"annotation that begins with a slash", `serviceaccount.annotations.path == "/srv/x"`, true, false},
		{"annotation without its slash", `serviceaccount.annotations.path == "srv/x"`, false, false},
		{"pattern that begins with a slash", `serviceaccount.annotations.path matches "/x"`, true, false},
		{"presence and another value", `"team" in namespace.labels and namespace.labels.team != "x"`, true, false},

		// Lists.
		{"audience", `"vault" in audiences`, true, false},
		{"audience, negated", `"other" not in audiences`, true, true},
		{"part of an audience", `"vaul" in audiences`, false, false},
		{"list contains", `audiences contains "https://vault.example"`, true, false},
		{"list is empty", `audiences is empty`, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			selector, err := CompileSelector(row.selector)
			if err != nil {
				t.Fatalf("%s: %v", row.selector, err)
			}
			for _, half := range []struct {
				cluster cluster
				want    bool
			}{{runner(), row.match}, {bare(), row.absent}} {
				attrs := half.cluster.set(half.cluster.attributes(t), allSources)
				if got := selector.Evaluate(attrs); got != (Verdict{Matched: half.want}) {
					t.Errorf("%s is %+v for %+v, want %v", row.selector, got, half.cluster, half.want)
				}
				if reason := selector.Mismatch(attrs); (reason == "") != half.want {
					t.Errorf("%s: the mismatch is explained by %q", row.selector, reason)
				}
			}
			if selector.String() != row.selector {
				t.Errorf("the selector prints as %q", selector)
			}
		})
	}
}

func TestSelectorRefused(t *testing.T) {
	for _, row := range []struct {
		name     string
		selector string
		column   int
		reason   string
	}{
		{"unknown attribute", `pod.nam == "x"`, 1, `unknown attribute "pod.nam"; the attributes are audiences, cluster.name, consul.namespace, namespace.labels, node.name`},
		{"unknown attribute, second comparison", `pod.name == "x" and (foo.bar != 1)`, 22, `unknown attribute "foo.bar"`},
		{"unknown attribute after in", `"x" in foo`, 8, `unknown attribute "foo"`},
		{"attribute in another case", `Pod.Name == "x"`, 1, "unknown attribute"},
		{"half an attribute", `serviceaccount == "x"`, 1, "unknown attribute"},
		{"attribute and more", `pod.name.first == "x"`, 1, "unknown attribute"},
		{"element of a list", `audiences.0 == "x"`, 1, "unknown attribute"},
		{"empty JSON pointer", `"" == "x"`, 1, "expected an attribute; the attributes are audiences"},
		{"slash for an attribute", `"/" == "x"`, 5, "not a valid comparison"},
		{"number in a number", `1 in 2`, 6, "expected an attribute"},
		{"text for an attribute", `"pod" == "x"`, 1, "expected an attribute"},
		{"key with dots, unquoted", `serviceaccount.labels.app.kubernetes == "x"`, 1, `written serviceaccount.labels["app.kubernetes"]`},
		{"empty key", `namespace.labels[""] == "x"`, 1, "key of namespace.labels is empty"},

		{"is empty of what is never absent", `serviceaccount.name is empty`, 1, "does not support is empty, it supports ==, !=, in, not in"},
		{"equality of a map", `namespace.labels == "x"`, 1, `does not support ==, it supports in, not in, contains, not contains, is empty, is not empty; one value of it is namespace.labels["key"]`},
		{"matches of a map", `namespace.labels matches "x"`, 1, "does not support matches"},
		{"equality of a list", `audiences != "vault"`, 1, "does not support !="},
		{"matches of a list", `audiences not matches "vault"`, 1, "does not support not matches"},
		{"is nil", `pod.name is nil`, 13, "is nil"},
		{"is not nil", `pod.name is not nil`, 17, "is nil"},
		{"any", `any audiences as a { a == "x" }`, 1, "any and all are not supported"},
		{"all, in parentheses", `(all audiences as a { a == "x" })`, 2, "any and all are not supported"},

		{"optional attribute and the empty text", `pod.name != ""`, 13, "use is empty or is not empty"},
		{"label and the empty text", `namespace.labels.team == ""`, 26, "use is empty or is not empty"},
		{"empty text in an optional attribute", "`` in pod.name", 1, "use is empty or is not empty"},
		{"two attributes", `pod.name == node.name`, 13, `quote it: "node.name"`},
		{"two attributes, one a label", `pod.name == namespace.labels.team`, 13, "attributes can only be compared with values"},
		{"index in a value", `pod.name == x["y"]`, 13, "attributes can only be compared with values"},

		{"only white space", "  ", 3, "expected a comparison, and the expression ends here"},
		{"single equals sign", `pod.name = "x"`, 10, "expected an operator (==, !=, in, contains, matches or is), found `=`"},
		{"no operator", `pod.name`, 9, "expected an operator"},
		{"unknown operator", `pod.name like "x"`, 10, "found `like`"},
		{"not what", `pod.name not "x"`, 14, `expected "in", "contains" or "matches"`},
		{"is what", `pod.name is full`, 13, `expected "empty", found`},
		{"no value", `pod.name == `, 13, "expected a value, and the expression ends here"},
		{"value in parentheses", `pod.name == ("x")`, 13, "expected a value, found `(`"},
		{"parenthesis not closed", `serviceaccount.name == "x" and (pod.name == "x"`, 32, "opens here is not closed"},
		{"parenthesis not opened", `pod.name == "x")`, 16, `expected "and", "or" or the end, found`},
		{"empty parentheses", `()`, 2, "expected a comparison"},
		{"nothing after and", `pod.name == "x" and`, 20, "expected a comparison"},
		{"symbol for and", `pod.name == "x" && pod.uid == "y"`, 17, "found `&&`"},
		{"two comparisons", `pod.name == "x" pod.uid == "y"`, 17, `expected "and", "or" or the end`},
		{"no white space before and", `pod.name == "x"and pod.uid == "y"`, 16, `white space before "and"`},
		{"no white space after and", `pod.name == "x" and(pod.uid == "y")`, 20, `white space after "and"`},
		{"no white space after not", `not(pod.uid == "y")`, 4, `white space after "not"`},
		{"no white space before in", `"x"in audiences`, 4, `white space before "in"`},
		{"quote not closed", `pod.name == "x`, 13, "no closing quote"},
		{"bracket not closed", `namespace.labels["x" == "y"`, 17, "no closing bracket"},
		{"key not quoted", `namespace.labels[x] == "y"`, 18, "key in quotes"},
		{"escape that is none", `pod.name == "\d"`, 13, "not a valid comparison"},
		{"number with a leading zero", `pod.name == 01`, 14, "not a valid comparison"},
		{"a value called not", `pod.name == "x" and not in audiences`, 28, "expected an operator"},

		{"bad regular expression", `pod.name matches "("`, 18, "bad regular expression: missing closing ): `(`"},
		{"look-ahead", `pod.name matches "(?=x)"`, 18, "bad regular expression"},
		{"repeat that is too large", `pod.name matches "(a{1000}){1000}"`, 18, "bad regular expression"},
		{"costly regular expression", `pod.name matches "a{1000}b{1000}c{1000}"`, 18, "more than 2048 instructions"},
		{"costly together", `pod.name matches "a{1000}" or pod.name matches "b{1000}" or pod.name matches "c{1000}"`, 78, "more than 2048 instructions"},

		{"costly for an annotation", `serviceaccount.annotations.x matches "a{300}"`, 38, "those for annotations counted 8 times"},

		{"column counts characters", `pod.name == "ä€𝄞" and foo == 1`, 23, "unknown attribute"},
		{"too deep", strings.Repeat("(", 40) + `pod.name == "x"` + strings.Repeat(")", 40), 34, "nested more than 32 deep"},
		{"too many nots", strings.Repeat("not ", 40) + `pod.name == "x"`, 133, "nested more than 32 deep"},
		{"too many comparisons", strings.Repeat(`pod.uid=="x" or `, 128) + `pod.uid=="x"`, 2049, "more than 128 comparisons"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := CompileSelector(row.selector)
			input := inputError(t, err, "selector")
			if input.Line != 1 || input.Column != row.column {
				t.Errorf("%s: line %d, column %d, want column %d: %v", row.selector, input.Line, input.Column, row.column, err)
			}
			if !strings.Contains(input.Reason, row.reason) {
				t.Errorf("%s: the error is %q, want %q in it", row.selector, err, row.reason)
			}
			if want := fmt.Sprintf("selector: column %d: ", row.column); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("the error is %q, want it to begin with %q", err, want)
			}
		})
	}
}

func TestSelectorRefusedAsAWhole(t *testing.T) {
	for name, text := range map[string]string{
		"too long":  `pod.name == "` + strings.Repeat("x", maxSelectorBytes) + `"`,
		"not UTF-8": "pod.name == \"\xff\"",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := CompileSelector(text)
			if input := inputError(t, err, "selector"); input.Line != 0 || input.Column != 0 {
				t.Errorf("the error %q points at line %d, column %d", err, input.Line, input.Column)
			}
		})
	}
}

func TestSelectorErrorOnALaterLine(t *testing.T) {
	_, err := CompileSelector("pod.name == \"x\" and\n  foo == 1")
	if want := "selector: line 2, column 3: unknown attribute"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %v, want %q at its beginning", err, want)
	}
}

// The bounds must leave room for what people write.
func TestSelectorLongest(t *testing.T) {
	value := strings.Repeat("x", maxSelectorBytes-len(`pod.name not contains ""`))
	for name, text := range map[string]string{
		"one long value":        `pod.name not contains "` + value + `"`,
		"one long pattern":      `pod.name matches "` + strings.Repeat("x", 1500) + `"`,
		"one long value first":  `"` + value + `" not in pod.name`,
		"one long pointer":      `"/namespace/labels/` + strings.Repeat("x", 4000) + `" == "x"`,
		"one long path":         `"x" in namespace.labels.` + strings.Repeat("x", 4000),
		"as many as may be":     strings.Repeat(`pod.uid == "x" or `, maxComparisons-1) + `pod.uid == "x"`,
		"as deep as may be":     strings.Repeat("(", maxDepth) + `pod.name == "x"` + strings.Repeat(")", maxDepth),
		"one long value spaced": `pod.name == "x` + strings.Repeat(" ", 4000) + `"`,
		"much white space":      `pod.name` + strings.Repeat(" ", 4000) + `== "x"`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := CompileSelector(text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerdictNeedsOnlyWhatTheOutcomeDependsOn(t *testing.T) {
	const account, namespace = Sources(ServiceAccount), Sources(Namespace)
	for _, row := range []struct {
		selector string
		known    Sources
		want     Verdict
	}{
		{`namespace.labels.team == "ci"`, 0, Verdict{Needs: namespace}},
		{`namespace.labels.team == "ci"`, account, Verdict{Needs: namespace}},
		{`namespace.labels.team == "ci"`, namespace, Verdict{Matched: true}},
		{`namespace.labels is empty`, 0, Verdict{Needs: namespace}},
		{`"x" in serviceaccount.annotations`, 0, Verdict{Needs: account}},
		{`"x" not in serviceaccount.labels`, namespace, Verdict{Needs: account}},
		{`not namespace.labels.team == "ci"`, 0, Verdict{Needs: namespace}},

		{`namespace.labels.team == "ci" and serviceaccount.name == "x"`, 0, Verdict{}},
		{`serviceaccount.name == "x" and namespace.labels.team == "ci"`, 0, Verdict{}},
		{`namespace.labels.team == "ci" or serviceaccount.name == "web"`, 0, Verdict{Matched: true}},
		{`namespace.labels.team == "ci" or serviceaccount.name == "x"`, 0, Verdict{Needs: namespace}},
		{`not (namespace.labels.team == "ci" or serviceaccount.name == "web")`, 0, Verdict{}},
		{`not (namespace.labels.team == "ci" and serviceaccount.name == "x")`, 0, Verdict{Matched: true}},

		{`namespace.labels.team == "ci" and serviceaccount.labels.team == "payments"`, 0, Verdict{Needs: account | namespace}},
		{`namespace.labels.team == "ci" and serviceaccount.labels.team == "payments"`, account, Verdict{Needs: namespace}},
		{`namespace.labels.team == "ci" and serviceaccount.labels.team == "other"`, account, Verdict{}},
		{`namespace.labels.team == "ci" or serviceaccount.labels.team == "payments"`, account, Verdict{Matched: true}},
		{`namespace.labels.team == "ci" or serviceaccount.labels.team == "other"`, account, Verdict{Needs: namespace}},
		{`(pod.name == "x" and namespace.labels.team == "ci") or serviceaccount.labels.team == "other"`, 0, Verdict{Needs: account}},
	} {
		selector, err := CompileSelector(row.selector)
		if err != nil {
			t.Fatal(err)
		}
		c := runner()
		if got := selector.Evaluate(c.set(c.attributes(t), row.known)); got != row.want {
			t.Errorf("%s, knowing %b: %+v, want %+v", row.selector, row.known, got, row.want)
		}
	}
}

func TestSelectorMatchFetches(t *testing.T) {
	refused := errors.New("namespaces is forbidden")
	for _, row := range []struct {
		name     string
		selector string
		cluster  cluster
		want     bool
		fetched  []Source
		err      error
	}{
		{"nothing to fetch", `pod.name == "runner-7"`, runner(), true, nil, nil},
		{"decided without", `pod.name == "x" and namespace.labels.team == "ci"`, runner(), false, nil, nil},
		{"one", `pod.name == "runner-7" and namespace.labels.team == "ci"`, runner(), true, []Source{Namespace}, nil},
		{"the second is not needed", `serviceaccount.labels.team == "x" and namespace.labels.team == "ci"`, runner(), false, []Source{ServiceAccount}, nil},
		{"both", `serviceaccount.labels.team == "payments" and namespace.labels.team == "x"`, runner(), false, []Source{ServiceAccount, Namespace}, nil},
		{"refused", `namespace.labels.team != "x"`, runner().with(func(c *cluster) { c.refuse = map[Source]error{Namespace: refused} }), false, []Source{Namespace}, refused},
	} {
		t.Run(row.name, func(t *testing.T) {
			selector, err := CompileSelector(row.selector)
			if err != nil {
				t.Fatal(err)
			}
			l := row.cluster.login(t)
			got, err := selector.Match(context.Background(), l.attrs, l.fetch)
			if got != row.want || err != row.err { //nolint:errorlint // fetch's error is returned as it is
				t.Errorf("got %v, %v, want %v, %v", got, err, row.want, row.err)
			}
			if !slices.Equal(l.fetched, row.fetched) {
				t.Errorf("fetched %v, want %v", l.fetched, row.fetched)
			}
		})
	}
}

func TestSelectorMatchDoesNotAskForEver(t *testing.T) {
	selector, err := CompileSelector(`namespace.labels.team == "ci"`)
	if err != nil {
		t.Fatal(err)
	}
	forgetful := func(context.Context, Source) error { return nil }
	if _, err := selector.Match(context.Background(), runner().attributes(t), forgetful); err == nil {
		t.Error("a fetch that sets nothing is no error")
	}
}

// Whoever may annotate a service account must not become another one for a role.
func TestRoleSelectorNeverSeesTheOverride(t *testing.T) {
	c := runner().with(func(c *cluster) { c.override = "consul.hashicorp.com/service-name" })
	attrs := c.set(c.attributes(t), allSources)
	attrs.ForRules(c.override)
	for text, want := range map[string]bool{`serviceaccount.name == "other"`: false, `serviceaccount.name == "web"`: true} {
		selector, err := CompileSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := selector.Evaluate(attrs); got.Matched != want || got.Needs != 0 {
			t.Errorf("%s is %+v, want %v", text, got, want)
		}
	}
}

func TestMismatchSaysWhy(t *testing.T) {
	for selector, want := range map[string]string{
		`pod.name == "runner-7"`:  "",
		`pod.name == "x"`:         `pod.name == "x" is false: pod.name is "runner-7"`,
		`namespace.labels.x == 1`: `namespace.labels.x == 1 is not known`,
		`serviceaccount.labels.x == 1 and pod.name == "runner-7"`:       `serviceaccount.labels.x == 1 is false: serviceaccount.labels["x"] is absent`,
		`namespace.labels.team == "x" and pod.name == "x"`:              `pod.name == "x" is false: pod.name is "runner-7"`,
		`pod.name == "x" or node.name  !=  "node-1"`:                    `pod.name == "x" is false: pod.name is "runner-7", and node.name  !=  "node-1" is false: node.name is "node-1"`,
		`not (pod.name == "runner-7" and serviceaccount.name == "web")`: `not (pod.name == "runner-7" and serviceaccount.name == "web") is false`,
		`not namespace.labels.team == "ci" and pod.uid == "pod-1"`:      `not namespace.labels.team == "ci" is not known`,
		`"x" in audiences`:                       `"x" in audiences is false`,
		`serviceaccount.annotations.long == "x"`: `serviceaccount.annotations.long == "x" is false: serviceaccount.annotations["long"] begins with "` + strings.Repeat("y", maxShown) + `"`,
	} {
		compiled, err := CompileSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		c := runner()
		c.annotations = map[string]string{"long": strings.Repeat("y", 4000)}
		if got := compiled.Mismatch(c.set(c.attributes(t), Sources(ServiceAccount))); got != want {
			t.Errorf("%s:\n got %q\nwant %q", selector, got, want)
		}
	}
}
