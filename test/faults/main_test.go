// Package faults breaks what stands between the plugin and its cluster, or one
// of the processes themselves, and looks at what the clients of a real Vault get
// meanwhile.
//
// Times and rates are asserted as they are promised. On a machine that is busy
// with other things FAULTS_SLOW=4 allows four times the time. FAULTS_FULL=1 runs
// the counts and durations of a release in place of those of every change, and
// -short shorter ones still.
package faults

import (
	"context"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// What all tests share. Each has mounts of its own.
var (
	bed  *testbed.Bed
	kube *cluster
)

func TestMain(m *testing.M) {
	// The clients and API servers of these tests share the machine with what is measured.
	debug.SetGCPercent(400)
	os.Exit(testbed.RunTests(m, testbed.Options{
		Progress: os.Stderr,
		// The level of an operator who changed nothing; JSON, to tell keys from text.
		Vault: testbed.VaultOptions{LogLevel: "info", Env: []string{"VAULT_LOG_FORMAT=json"}},
	}, func(ctx context.Context, started *testbed.Bed) (_ func() error, err error) {
		bed = started
		kube, err = newCluster(ctx, bed.Cluster)
		return nil, err
	}))
}

// full tells whether the counts and durations of a release are asked for.
func full() bool { return os.Getenv("FAULTS_FULL") == "1" }

// scaled picks a count or a duration by how thorough the run is to be.
func scaled[T any](short, usual, release T) T {
	switch {
	case full():
		return release
	case testing.Short():
		return short
	}
	return usual
}

// allowed is a bound on a time, stretched on a machine that is said to be busy.
func allowed(t testing.TB, bound time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("FAULTS_SLOW")
	if text == "" {
		return bound
	}
	factor, err := strconv.ParseFloat(text, 64)
	if err != nil || factor < 1 {
		t.Fatalf("FAULTS_SLOW=%q is not a factor of 1 or more", text)
	}
	return time.Duration(float64(bound) * factor)
}
