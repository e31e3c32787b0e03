package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A library below Vault's sdk starts this one when the program starts.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// The version is what an operator registers the plugin with.
func TestVersionFlag(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	stdout := os.Stdout
	os.Stdout = writer
	err = run([]string{"-version"})
	os.Stdout = stdout
	writer.Close()
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if _, err := printed.ReadFrom(reader); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(printed.String()) != version || !strings.HasPrefix(version, "v") {
		t.Errorf("printed %q, the version is %q", printed.String(), version)
	}
}

func TestUnknownFlag(t *testing.T) {
	stderr := os.Stderr
	os.Stderr = nil // the flag package tells the user as well
	err := run([]string{"-no-such-flag"})
	os.Stderr = stderr
	if err == nil {
		t.Error("no error")
	}
}
