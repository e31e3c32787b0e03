// Package e2e runs the built plugin in a real Vault against real Kubernetes API
// servers. The sessions under testdata/script are what a user would type; the Go
// tests compare the plugin with Vault's own method field by field.
package e2e

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

// What all tests share: one Vault with the plugin registered, and two clusters.
// Each test uses mounts, roles and namespaces of its own.
var (
	bed          *testbed.Bed
	otherCluster *testbed.Cluster
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	bed, err = testbed.Start(ctx, testbed.Options{Progress: os.Stderr})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, bed.Stop()) }()
	options, err := withStaticTokens(bed.Dir)
	if err != nil {
		return 1, err
	}
	otherCluster, err = testbed.StartCluster(ctx, bed.Tools, filepath.Join(bed.Dir, "other-cluster"), options)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, otherCluster.Stop()) }()
	if err := registerPlugin(); err != nil {
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

func registerPlugin() error {
	client, err := newVaultClient()
	if err != nil {
		return err
	}
	return client.Sys().RegisterPlugin(&vault.RegisterPluginInput{
		Name:    testbed.PluginName,
		Type:    vault.PluginTypeCredential,
		Command: testbed.PluginName,
		SHA256:  bed.PluginSHA256,
		Version: bed.PluginVersion,
	})
}

// newVaultClient returns a client with the root token that tries each request
// once: the tests compare what the server answers.
func newVaultClient() (*vault.Client, error) {
	config := vault.DefaultConfig()
	config.Address = bed.Vault.Addr
	config.MaxRetries = 0
	client, err := vault.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(bed.Vault.RootToken)
	return client, nil
}
