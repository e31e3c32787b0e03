// Package consul compares this plugin's binding rules with those of Consul's own
// kubernetes auth method. The same rules and the same service accounts are given
// to a real Consul and to the plugin in a real Vault, which ask the same API
// server; who may log in, and what is bound, has to be equal.
//
// What differs on purpose is listed in differences_test.go, and asserted on both
// sides.
//
// A Consul takes minutes to build the first time. So these tests run only where
// TEST_CONSUL is set, which `make test-consul` does.
package consul

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// world is what all tests share; nil without TEST_CONSUL.
var world *fixture

func TestMain(m *testing.M) {
	if os.Getenv("TEST_CONSUL") == "" {
		os.Exit(m.Run()) // what needs no servers
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "comparison with Consul:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	binary, err := testbed.FindConsul(ctx, os.Stderr)
	if err != nil {
		return 1, err
	}
	bed, err := testbed.Start(ctx, testbed.Options{Progress: os.Stderr})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, bed.Stop()) }()
	server, err := testbed.StartConsul(ctx, binary, filepath.Join(bed.Dir, "consul"))
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := registerPlugin(ctx, bed); err != nil {
		return 1, err
	}
	if world, err = newFixture(ctx, bed, server); err != nil {
		return 1, err
	}
	done := make(chan int, 1)
	go func() { done <- m.Run() }()
	select {
	case code = <-done:
		return code, nil
	case <-ctx.Done():
		return 1, errors.New("interrupted")
	}
}

func registerPlugin(ctx context.Context, bed *testbed.Bed) error {
	client, err := bed.Vault.Client()
	if err != nil {
		return err
	}
	return client.Sys().RegisterPluginWithContext(ctx, &vault.RegisterPluginInput{
		Name:    testbed.PluginName,
		Type:    vault.PluginTypeCredential,
		Command: testbed.PluginName,
		SHA256:  bed.PluginSHA256,
		Version: bed.PluginVersion,
	})
}

// servers returns what runs, or skips the test if nothing does.
func servers(t *testing.T) *fixture {
	t.Helper()
	if world == nil {
		t.Skip("needs a Consul, which takes minutes to build once: run make test-consul")
	}
	return world
}
