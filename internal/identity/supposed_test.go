package identity_test

import (
	"errors"
	"reflect"
	"testing"

	"vault-plugin-auth-kubernetes/internal/identity"
)

// TestSupposedIsNoIdentity: what an operator supposes can neither be assigned nor be
// converted to what a login makes a token of, and has nothing that is kept with a token.
func TestSupposedIsNoIdentity(t *testing.T) {
	supposed, verified := reflect.TypeFor[identity.Supposed](), reflect.TypeFor[identity.Identity]()
	if supposed.ConvertibleTo(verified) || supposed.AssignableTo(verified) {
		t.Error("a supposed account can be taken for a verified one")
	}
	for _, method := range []string{"ForLease"} {
		if _, found := supposed.MethodByName(method); found {
			t.Errorf("a supposed account has %s", method)
		}
	}
	for i := range supposed.NumMethod() {
		for j := range supposed.Method(i).Type.NumOut() {
			if supposed.Method(i).Type.Out(j) == verified {
				t.Errorf("%s gives an identity", supposed.Method(i).Name)
			}
		}
	}
}

func TestSuppose(t *testing.T) {
	none := identity.Object{}
	for name, row := range map[string]struct {
		namespace, name string
		pod, node       identity.Object
		wantErr         bool
	}{
		"an account":            {"shop", "web", none, none, false},
		"in a pod":              {"shop", "web.v2", identity.Object{Name: "web-1"}, none, false},
		"on a node":             {"shop", "web", identity.Object{Name: "web-1", UID: "u"}, identity.Object{Name: "n.example"}, false},
		"a node without a pod":  {"shop", "web", none, identity.Object{Name: "n"}, true},
		"no namespace":          {"", "web", none, none, true},
		"a namespace with dots": {"a.b", "web", none, none, true},
		"a name for a path":     {"shop", "../x", none, none, true},
		"a pod for a path":      {"shop", "web", identity.Object{Name: "a/b"}, none, true},
		"a uid without a name":  {"shop", "web", identity.Object{UID: "u"}, none, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := identity.Suppose(row.namespace, row.name, row.pod, row.node)
			if (err != nil) != row.wantErr {
				t.Fatalf("got %v", err)
			}
			if err == nil && (got.Namespace() != row.namespace || got.Name() != row.name || got.Pod() != row.pod || got.Node() != row.node) {
				t.Errorf("got %+v", got)
			}
		})
	}
	if _, err := identity.Suppose("eyJhbGciOiJSUzI1NiJ9", "x.y", none, none); !errors.Is(err, identity.ErrNoAccount) {
		t.Errorf("a token in the wrong field: %v", err)
	}
}

func TestSplitAccount(t *testing.T) {
	for text, want := range map[string][2]string{
		"shop/web": {"shop", "web"}, "shop:web": {"shop", "web"}, " system:serviceaccount:shop:web.v2\n": {"shop", "web.v2"},
		"web": {}, "": {}, "/web": {"", "web"}, "shop/": {"shop", ""}, "a/b/c": {"a", "b/c"}, "a/..": {"a", ".."},
		"system:node:n": {"system", "node:n"},
	} {
		if namespace, name := identity.SplitAccount(text); namespace != want[0] || name != want[1] {
			t.Errorf("%q is %q and %q", text, namespace, name)
		}
	}
}
