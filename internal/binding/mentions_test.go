package binding

import (
	"errors"
	"slices"
	"testing"
)

func TestRulesThatDependOnSettings(t *testing.T) {
	set := rulesOf(t, append(overriding(
		Rule{Name: "o-name", Selector: `not (pod.name == "x" or serviceaccount.name matches "^w")`},
		Rule{Name: "o-bind-name", BindType: BindService, BindName: "s-${serviceaccount.name}"},
		Rule{Name: "o-other", Selector: `serviceaccount.namespace == "ci"`},
	),
		Rule{Name: "name", Selector: `serviceaccount.name == "web"`},
		Rule{Name: "consul", Selector: `pod.name is empty and consul.namespace != "a"`},
		Rule{Name: "consul-bind-name", BindType: BindGroup, BindName: "${consul.namespace}"},
		Rule{Name: "all"},
	)...)
	set.PutBroken("broken", errors.New("broken"))
	if got, want := set.DependingOnAnnotation(), []string{"o-bind-name", "o-name"}; !slices.Equal(got, want) {
		t.Errorf("on the annotation: %q, want %q", got, want)
	}
	if got, want := set.DependingOnConsulNamespace(), []string{"consul", "consul-bind-name"}; !slices.Equal(got, want) {
		t.Errorf("on the mapping: %q, want %q", got, want)
	}
	for text, want := range map[string]bool{"": false, `consul.namespace is empty`: true, `"/consul/namespace" == "x"`: true, `serviceaccount.namespace == "consul"`: false} {
		selector, err := CompileSelector(text)
		if err != nil || selector.DependsOnConsulNamespace() != want {
			t.Errorf("%q: want %t (%v)", text, want, err)
		}
	}
}
