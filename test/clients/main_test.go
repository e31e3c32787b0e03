// Package clients runs the clients of Vault that people use, as they are released, against
// a real Vault with the plugin and a real API server: whether they log in, by a role and by
// binding rules, and what becomes of them when tokens end, accounts are made anew, the
// plugin ends, or the API server is gone. docs/clients.md has the outcomes in a table, and
// TestTable compares.
//
// CLIENTS_OUTAGE=1 has many clients wait for an API server that is down, see outage_test.go.
package clients

import (
	"context"
	"flag"
	"os"
	"testing"

	"k8s.io/client-go/kubernetes"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// What all tests share. Each has a mount and service accounts of its own.
var (
	bed      *testbed.Bed
	kube     *kubernetes.Clientset
	programs testbed.Clients
)

func TestMain(m *testing.M) {
	// The tests mostly wait for clients, whose tokens live for seconds at the least.
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	os.Exit(testbed.RunTests(m, testbed.Options{
		Progress: os.Stderr,
		Vault:    testbed.VaultOptions{LogLevel: "info", Env: []string{"VAULT_LOG_FORMAT=json"}},
	}, func(ctx context.Context, started *testbed.Bed) (_ func() error, err error) {
		bed = started
		if programs, err = testbed.FindClients(ctx, os.Stderr); err != nil {
			return nil, err
		}
		if kube, err = kubernetes.NewForConfig(bed.Cluster.Config); err != nil {
			return nil, err
		}
		return nil, makeReviewer(ctx)
	}))
}
