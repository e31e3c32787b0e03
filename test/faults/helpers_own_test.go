package faults

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// newVault starts a Vault of the test's own, with further settings of the server, for
// what others should not meet: thousands of writes, or a load that is measured. It ends
// with the test.
func newVault(t *testing.T, config fields) *testbed.Vault {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	v, err := bed.StartVaultApart(ctx, func(opts *testbed.VaultOptions) { opts.Config = config })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Stop(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// newMountIn enables a method in a Vault of the test's own, with a config for an API
// server and a role for the tests' service account. It ends with the Vault.
func newMountIn(t *testing.T, v *testbed.Vault, method string, api fakeAPI) mount {
	t.Helper()
	m := mount{path: strings.ToLower(rand.Text()[:10]), addr: v.Addr, token: v.RootToken}
	m.enableMethod(t, method)
	m.configure(t, api.url, api.caPEM)
	m.mustLogin(t)
	return m
}
