// Package e2e runs the built plugin in a real Vault against real Kubernetes API
// servers. The sessions under testdata/script are what a user would type; the Go
// tests compare the plugin with Vault's own method field by field.
package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// What all tests share: one Vault with the plugin registered, and two clusters.
// Each test uses mounts, roles and namespaces of its own.
var (
	bed          *testbed.Bed
	otherCluster *testbed.Cluster
)

func TestMain(m *testing.M) {
	options := testbed.Options{Progress: os.Stderr, Plugin: testbed.PluginOptions{Race: true}}
	os.Exit(testbed.RunTests(m, options, func(ctx context.Context, started *testbed.Bed) (func() error, error) {
		bed = started
		options, err := withStaticTokens(bed.Dir)
		if err != nil {
			return nil, err
		}
		otherCluster, err = testbed.StartCluster(ctx, bed.Tools, filepath.Join(bed.Dir, "other-cluster"), options)
		if err != nil {
			return nil, err
		}
		return otherCluster.Stop, nil
	}))
}
