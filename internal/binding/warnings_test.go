package binding

import (
	"slices"
	"strings"
	"testing"
)

// What a rule's writer is told, by the beginning of each line; the words between | have
// to be in it.
func TestWarnings(t *testing.T) {
	const (
		everybody = "The rule matches every service account of the cluster."
		nearly    = "The rule matches every service account of the cluster, or nearly: "
		absent    = "bind_name takes "
		collision = "bind_name gives two service accounts one name: "
		chosen    = "The rule names no namespace, so whoever may "
	)
	for name, row := range map[string]struct {
		selector, bindName string
		bindType           BindType // a policy where it is empty
		mount              Setting
		want               []string
	}{
		"nothing to say":                                       {selector: `serviceaccount.namespace == "shop"`, bindName: "shop"},
		"everybody, by leaving it out":                         {bindName: "base", want: []string{everybody + "|selector='*'"}},
		"everybody, in so many words":                          {selector: "*", bindName: "base"},
		"everybody, with space around it":                      {selector: " * ", bindName: "base"},
		"each namespace its own":                               {selector: "*", bindName: "ns-${serviceaccount.namespace}"},
		"a variable that was not set, in a regular expression": {selector: `serviceaccount.namespace matches "^"`, bindName: "base", want: []string{everybody}},
		"a variable that was not set, as a part":               {selector: `serviceaccount.name contains ""`, bindName: "base", want: []string{everybody, chosen}},
		"one that leaves nobody":                               {selector: `serviceaccount.namespace == ""`, bindName: "base"},
		"not the empty name":                                   {selector: `serviceaccount.namespace != ""`, bindName: "base", want: []string{everybody}},
		"a label or no label": {
			selector: `namespace.labels.team == "a" or not namespace.labels.team == "a"`, bindName: "base",
			want: []string{nearly},
		},
		"any name at all": {selector: `serviceaccount.namespace matches "."`, bindName: "base", want: []string{nearly + "|selector='*'"}},
		"any name at all, and a pod": {
			selector: `serviceaccount.namespace matches "." and pod.name matches "^runner-"`, bindName: "base", want: []string{chosen},
		},
		"the label that each namespace has": {
			selector: `"kubernetes.io/metadata.name" in namespace.labels and pod.name matches "^runner-"`, bindName: "base", want: []string{chosen},
		},
		"a cluster of this name": {selector: `cluster.name == "east"`, bindName: "base", mount: Setting{ClusterName: "east"}, want: []string{nearly}},
		"another cluster":        {selector: `cluster.name == "east"`, bindName: "base", mount: Setting{ClusterName: "west"}},

		"a label that need not be there": {
			selector: "*", bindName: `team-${namespace.labels["team"]}`,
			want: []string{absent + `namespace.labels["team"]|Add to the selector: namespace.labels["team"] is not empty`},
		},
		"a label that is": {selector: `namespace.labels["team"] is not empty`, bindName: `team-${namespace.labels["team"]}`},
		"no pod": {
			selector: `serviceaccount.namespace == "ci"`, bindName: "pod-${pod.name}",
			want: []string{absent + "pod.name|pod.name is not empty"},
		},
		"a pod, by its name":     {selector: `serviceaccount.namespace == "ci" and pod.name matches "^r"`, bindName: "pod-${pod.uid}"},
		"a cluster with no name": {selector: "*", bindName: "${cluster.name}", want: []string{absent + "cluster.name|cluster_name"}},
		"a cluster with one":     {selector: "*", bindName: "${cluster.name}", mount: Setting{ClusterName: "east"}},
		"namespaces not mapped":  {selector: "*", bindName: "${consul.namespace}", want: []string{absent + "consul.namespace|map_namespaces"}},
		"namespaces mapped":      {selector: "*", bindName: "${consul.namespace}", mount: Setting{MapsNamespaces: true}},
		"two that need not be there": {
			selector: `serviceaccount.namespace == "ci"`, bindName: `${pod.name}_${namespace.labels.team}_x`,
			want: []string{absent + "pod.name", absent + `namespace.labels["team"]`},
		},

		"joined by what both may have": {
			selector: "*", bindName: "k8s-${serviceaccount.namespace}-${serviceaccount.name}",
			want: []string{collision + `k8s-a-b-c|"a" and "b-c", and of "a-b" and "c"|k8s-${serviceaccount.namespace}_${serviceaccount.name} keeps them apart`},
		},
		"joined by what neither may have": {selector: "*", bindName: "k8s-${serviceaccount.namespace}_${serviceaccount.name}"},
		"of one namespace only": {
			selector: `serviceaccount.namespace == "shop"`, bindName: "k8s-${serviceaccount.namespace}-${serviceaccount.name}",
		},
		"a label, which may have a _": {
			selector: `namespace.labels.team is not empty`, bindName: "${namespace.labels.team}_${serviceaccount.name}",
			want: nil, // the name has none, so the last one is between
		},
		"two labels": {
			selector: `namespace.labels.a is not empty and namespace.labels.b is not empty`, bindName: "x-${namespace.labels.a}_${namespace.labels.b}",
			want: []string{collision + `|x-${namespace.labels["a"]}:${namespace.labels["b"]} keeps them apart`},
		},
		"two labels of a service": {
			selector: `namespace.labels.a is not empty and namespace.labels.b is not empty`, bindName: "${namespace.labels.a}_${namespace.labels.b}", bindType: BindService,
			want: []string{collision},
		},
		"an annotation stands in for the name": {
			selector: "*", bindName: "${serviceaccount.namespace}_${serviceaccount.name}", mount: Setting{NamedByAnnotation: true},
		},

		"a pod of any namespace": {
			selector: `pod.name matches "^runner-"`, bindName: "runner",
			want: []string{chosen + `create pods or tokens, in any namespace, chooses pod.name.|serviceaccount.namespace ==`},
		},
		"a pod of a namespace with a label":  {selector: `pod.name matches "^runner-" and namespace.labels.team == "ci"`, bindName: "runner"},
		"a pod or a namespace":               {selector: `pod.name == "a" or serviceaccount.namespace == "b"`, bindName: "x", want: []string{chosen}},
		"each way names one":                 {selector: `pod.name == "a" and serviceaccount.namespace == "c" or serviceaccount.namespace == "b"`, bindName: "x"},
		"a namespace that it is not":         {selector: `pod.name == "a" and serviceaccount.namespace != "b"`, bindName: "x", want: []string{chosen}},
		"not any other namespace":            {selector: `pod.name == "a" and not serviceaccount.namespace != "b"`, bindName: "x"},
		"a namespace that says nothing":      {selector: `pod.name == "a" and serviceaccount.namespace matches ".*"`, bindName: "x", want: []string{chosen}},
		"an account of any namespace":        {selector: `serviceaccount.name == "db"`, bindName: "db", want: []string{chosen + "write service accounts"}},
		"one account for all time":           {selector: `serviceaccount.name == "db" and serviceaccount.uid == "u"`, bindName: "db"},
		"an audience":                        {selector: `"vault" in audiences`, bindName: "x", want: []string{chosen + "create tokens"}},
		"a label of the account":             {selector: `serviceaccount.labels.app == "db"`, bindName: "x", want: []string{chosen + "|serviceaccount.labels"}},
		"an annotation that has to be there": {selector: `serviceaccount.annotations.app is not empty`, bindName: "x", want: []string{chosen}},
		"all but one account":                {selector: `serviceaccount.name != "default"`, bindName: "x"},
		"a node":                             {selector: `node.name == "gpu-1"`, bindName: "x", want: []string{chosen + "|node.name"}},
		"a name that tenants choose":         {selector: "*", bindName: "app-${serviceaccount.name}", want: []string{chosen + "|serviceaccount.name"}},
	} {
		t.Run(name, func(t *testing.T) {
			rule, err := Compile(Rule{Name: "r", Selector: row.selector, BindType: orPolicy(row.bindType), BindName: row.bindName})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			kinds := map[Kind]string{MatchesEverybody: strings.TrimSuffix(everybody, "."), NeedsAttribute: absent, GivesOneName: collision, ChosenByTenants: chosen}
			for _, warning := range rule.Warnings(row.mount) {
				got = append(got, warning.Text)
				if !strings.HasPrefix(warning.Text, kinds[warning.Kind]) {
					t.Errorf("%q is of the kind %q", warning.Text, warning.Kind)
				}
			}
			if !slices.EqualFunc(got, row.want, func(line, pattern string) bool {
				parts := strings.Split(pattern, "|")
				return strings.HasPrefix(line, parts[0]) && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
			}) {
				t.Errorf("got %q\nwant %q", got, row.want)
			}
			for _, line := range got {
				if strings.Contains(line, "\n") || len(line) > 400 {
					t.Errorf("not a short line: %q", line)
				}
			}
		})
	}
}

func orPolicy(bindType BindType) BindType {
	if bindType == "" {
		return BindPolicy
	}
	return bindType
}

// A selector that is said to make sure of an attribute does, whatever the rest of it.
func TestEnsures(t *testing.T) {
	for selector, want := range map[string]bool{
		`pod.name == "x"`:                              true,
		`pod.name != "x"`:                              false,
		`not pod.name != "x"`:                          true,
		`pod.name is not empty`:                        true,
		`not pod.name is empty`:                        true,
		`pod.name is empty`:                            false,
		`pod.name matches ".*"`:                        true,
		`pod.name not matches "x"`:                     false,
		`pod.uid is not empty`:                         true,
		`node.name == "x"`:                             false,
		`pod.name == "x" and node.name == "y"`:         true,
		`pod.name == "x" or node.name == "y"`:          false,
		`pod.name == "x" or pod.name == "y"`:           true,
		`not (pod.name is empty or node.name == "y")`:  true,
		`not (pod.name is empty and node.name == "y")`: false,
		`serviceaccount.namespace == "x"`:              false,
		`*`:                                            false,
	} {
		compiled := mustSelector(t, selector)
		if got := ensures(compiled.root, ref{attribute: attributesByName["pod.name"]}); got != want {
			t.Errorf("%s: %t", selector, got)
		}
	}
	label := ref{attribute: attributesByName["namespace.labels"], key: "team", keyed: true}
	for selector, want := range map[string]bool{
		`namespace.labels.team == "x"`:         true,
		`namespace.labels.team != "x"`:         false,
		`namespace.labels.team contains "x"`:   true,
		`namespace.labels.team matches "^x"`:   true,
		`namespace.labels.team matches "^x*$"`: false, // it may be empty
		`namespace.labels.team is not empty`:   true,
		`"team" in namespace.labels`:           false, // it may be empty
		`namespace.labels.other == "x"`:        false,
	} {
		if got := ensures(mustSelector(t, selector).root, label); got != want {
			t.Errorf("%s: %t", selector, got)
		}
	}
}

func mustSelector(t *testing.T, text string) *Selector {
	t.Helper()
	s, err := CompileSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// * says that everybody is meant; it is not part of the grammar.
func TestSelectorForEverything(t *testing.T) {
	for _, text := range []string{"*", " * ", ""} {
		s := mustSelector(t, text)
		if !s.MatchesAll() || s.String() != text {
			t.Errorf("%q: matches all %t, text %q", text, s.MatchesAll(), s)
		}
	}
	for _, text := range []string{"**", "* and *", "* or pod.name is empty", "not *"} {
		if _, err := CompileSelector(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
