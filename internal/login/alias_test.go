package login

import (
	"regexp"
	"testing"
)

// No service account has a name, a namespace or a uid that makes its own alias the
// one of another account's grants.
func TestAliasOfRulesIsNobodysName(t *testing.T) {
	form := regexp.MustCompile(`^[^:]+:rules(:[0-9a-f]{32})?$`)
	for _, bears := range []borneByEntity{{}, {Groups: []string{"g"}}, {Secret: "s"}} {
		if name := bears.aliasName("uid", false); !form.MatchString(name) {
			t.Errorf("the alias %q", name)
		}
	}
	names := map[string]borneByEntity{}
	for _, bears := range []borneByEntity{
		{Groups: []string{"a", "b"}}, {Groups: []string{"a,b"}}, {Groups: []string{"a"}, Services: []string{"b"}},
		{Services: []string{"a", "b"}}, {Nodes: []string{"a", "b"}}, {Secret: "a"}, {Groups: []string{"a"}, Secret: "a"},
		{Groups: []string{"a"}, Custom: map[string]string{"a": "b"}},
	} {
		name := bears.aliasName("uid", true)
		if other, taken := names[name]; taken {
			t.Errorf("%+v and %+v are both %q", bears, other, name)
		}
		names[name] = bears
	}
}
