package main

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

func TestFactory(t *testing.T) {
	config := logical.TestBackendConfig()
	config.StorageView = newStorage()
	// A cluster, or a storage, that is down must not keep Vault from unsealing.
	config.StorageView.(*storage).fail("config")
	b, err := Factory(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Cleanup(context.Background())
	if err := b.Initialize(t.Context(), &logical.InitializationRequest{Storage: config.StorageView}); err != nil {
		t.Errorf("Initialize: %v", err)
	}
	if b.Type() != logical.TypeCredential {
		t.Errorf("the type is %s", b.Type())
	}
	special := b.SpecialPaths()
	if !slices.Equal(special.Unauthenticated, []string{"login", "v1/acl/login", "v1/acl/logout"}) {
		t.Errorf("%q need no authentication, want the logins only", special.Unauthenticated)
	}
	if !slices.Equal(special.SealWrapStorage, []string{"config", "consul/config", "reviewer/token"}) {
		t.Errorf("%q is seal-wrapped, want what holds credentials", special.SealWrapStorage)
	}
}

func TestMissingMethods(t *testing.T) {
	m := newMount(t)
	for _, path := range []string{"login", "config", "role/demo", "role"} {
		if o := m.do(logical.RollbackOperation, path, nil); o.err != nil && o.status == http.StatusInternalServerError {
			t.Errorf("rollback of %s: %v", path, o.err) // Vault does that by itself
		}
	}
	for path, operation := range map[string]logical.Operation{
		"login":     logical.ReadOperation,
		"config":    logical.ListOperation,
		"role/demo": logical.PatchOperation,
		"role":      logical.DeleteOperation,
	} {
		if o := m.do(operation, path, nil); o.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d %s", operation, path, o.status, o.message)
		}
	}
	if o := m.do(logical.ReadOperation, "no/such/path", nil); o.status != http.StatusNotFound {
		t.Errorf("a path that does not exist: %d %s", o.status, o.message)
	}
}

func TestHelp(t *testing.T) {
	m := newMount(t)
	for _, path := range []string{"", "login", "config", "role", "role/demo"} {
		o := m.do(logical.HelpOperation, path, nil)
		if text, _ := o.data["help"].(string); o.status != http.StatusOK || len(text) < 100 {
			t.Errorf("help of %q: %d %q", path, o.status, text)
		}
	}
}
