package role_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"

	"vault-plugin-auth-kubernetes/internal/role"
)

// FuzzIsName compares what a name may be with what the paths of the host take.
func FuzzIsName(f *testing.F) {
	paths := regexp.MustCompile("^" + framework.GenericNameRegex("name") + "$")
	for _, name := range []string{"", "a", "_", "a-", "-a", "a.b", "a..b", ".", "a/b", "a b", "A", "ö", "a\n", strings.Repeat("a", role.MaxNameBytes+1)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got, want := role.IsName(name), len(name) <= role.MaxNameBytes && paths.MatchString(name); got != want {
			t.Errorf("%q is a name: %t, for the paths of the host: %t", name, got, want)
		}
	})
}
