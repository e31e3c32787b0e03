// Package consul compares this plugin's binding rules with those of Consul's own
// kubernetes auth method. The same rules and the same service accounts are given
// to a real Consul and to the plugin in a real Vault, which ask the same API
// server; who may log in, and what is bound, has to be equal.
//
// What differs on purpose is listed in differences_test.go, and asserted on both
// sides.
//
// A Consul takes minutes to build the first time. So these tests run only where
// TEST_CONSUL is set, which `make test-consul` does. TEST_CONSUL=measure leaves the race
// detector out of the plugin, for figures.
package consul

import (
	"context"
	"os"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// world is what all tests share; nil without TEST_CONSUL.
var world *fixture

func TestMain(m *testing.M) {
	if os.Getenv("TEST_CONSUL") == "" {
		os.Exit(m.Run()) // what needs no servers
	}
	options := testbed.Options{Progress: os.Stderr, Plugin: testbed.PluginOptions{Race: os.Getenv("TEST_CONSUL") != "measure"}}
	os.Exit(testbed.RunTests(m, options, func(ctx context.Context, bed *testbed.Bed) (func() error, error) {
		binary, err := testbed.FindConsul(ctx, os.Stderr)
		if err != nil {
			return nil, err
		}
		server, err := bed.StartConsul(ctx, binary)
		if err != nil {
			return nil, err
		}
		world, err = newFixture(ctx, bed, server, binary)
		return server.Stop, err
	}))
}

// servers returns what runs, or skips the test if nothing does.
func servers(t *testing.T) *fixture {
	t.Helper()
	if world == nil {
		t.Skip("needs a Consul, which takes minutes to build once: run make test-consul")
	}
	return world
}
