package main

import (
	"fmt"
	"os"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// What -consul says.
const (
	consulBuilt = "built" // where there is one, without building it
	consulBuild = "build"
)

// findConsul returns the program for a value of -consul, "" where there is to be none.
func findConsul(signals <-chan os.Signal, which string) (string, error) {
	ctx, stop := untilSignal(signals)
	defer stop()
	switch which {
	case "":
		return "", nil
	case consulBuilt:
		return testbed.BuiltConsul(ctx)
	case consulBuild:
		return testbed.FindConsul(ctx, os.Stderr)
	}
	return "", fmt.Errorf("-consul=%q: %w", which, errUsage)
}

// startConsul starts the one that was found. Without one it does nothing.
func startConsul(signals <-chan os.Signal, bed *testbed.Bed, binary string) (env []string, stop func() error, err error) {
	if binary == "" {
		return nil, func() error { return nil }, nil
	}
	ctx, release := untilSignal(signals)
	defer release()
	server, err := bed.StartConsul(ctx, binary)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(os.Stderr, "consul is at %s\n", server.Addr)
	return server.Env(), server.Stop, nil
}
