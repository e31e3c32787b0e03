package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
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

// The server leaves the host's question about the path of a login to a short cut, which
// answers as the framework does.
func TestLoginHasNoExistenceCheck(t *testing.T) {
	m := newDemo(t, nil, nil)
	found, exists, err := m.HandleExistenceCheck(t.Context(), &logical.Request{Operation: logical.CreateOperation, Path: loginPath, Storage: m.storage})
	if found || exists || err != nil {
		t.Errorf("check found %t, exists %t, error %v", found, exists, err)
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

// TestHelpIsNoError: whoever asks for the flags is shown them, and nothing of an error.
func TestHelpIsNoError(t *testing.T) {
	stderr := os.Stderr
	os.Stderr = nil // where the flags are listed
	defer func() { os.Stderr = stderr }()
	if err := run([]string{"-h"}); err != nil {
		t.Error(err)
	}
}

// TestReasonReachesVaultsLog: Vault takes the level of a plugin's line from JSON; any
// other line is at the debug level, where nobody sees it.
func TestReasonReachesVaultsLog(t *testing.T) {
	var stderr bytes.Buffer
	tell(&stderr, errors.New("no memory"))
	var line map[string]any
	if err := json.Unmarshal(stderr.Bytes(), &line); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if line["@level"] != "error" || line["@message"] != "the plugin stops" || line["error"] != "no memory" {
		t.Errorf("the line is %v", line)
	}
}
