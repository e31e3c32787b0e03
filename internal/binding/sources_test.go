package binding

import (
	"slices"
	"testing"
)

func TestSelectorSources(t *testing.T) {
	for text, want := range map[string]Sources{
		``:                              0,
		`serviceaccount.name == "web"`:  0,
		`namespace.labels.team == "ci"`: Sources(Namespace),
		`serviceaccount.labels.a == "b" and pod.name == "c"`:                                 Sources(ServiceAccount),
		`pod.name == "c" or not (serviceaccount.annotations.a == "b")`:                       Sources(ServiceAccount),
		`namespace.labels is empty or (pod.name == "a" and "b" in serviceaccount.labels)`:    Sources(Namespace) | Sources(ServiceAccount),
		`not namespace.labels["a/b"] == "c" and serviceaccount.namespace matches "^team-.*"`: Sources(Namespace),
	} {
		selector, err := CompileSelector(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := selector.Sources(); got != want {
			t.Errorf("%s mentions %b, want %b", text, got, want)
		}
	}
}

func TestMentioning(t *testing.T) {
	set := NewRuleSet()
	for _, rule := range []Rule{
		{Name: "none", BindType: BindPolicy, BindName: "p-${serviceaccount.name}"},
		{Name: "by-name", BindType: BindPolicy, BindName: `p-${namespace.labels["team"]}`},
		{Name: "by-selector", BindType: BindPolicy, BindName: "p", Selector: `namespace.labels.team == "ci"`},
		{Name: "account", BindType: BindPolicy, BindName: `${serviceaccount.annotations["a"]}`},
	} {
		compiled, err := Compile(rule)
		if err != nil {
			t.Fatal(err)
		}
		set.Put(compiled)
	}
	set.PutBroken("broken", &InputError{Field: "selector", Reason: "broken"})
	if got, want := set.Mentioning(Namespace), []string{"by-name", "by-selector"}; !slices.Equal(got, want) {
		t.Errorf("namespaces are mentioned by %q, want %q", got, want)
	}
	if got, want := set.Mentioning(ServiceAccount), []string{"account"}; !slices.Equal(got, want) {
		t.Errorf("service accounts are mentioned by %q, want %q", got, want)
	}
}
