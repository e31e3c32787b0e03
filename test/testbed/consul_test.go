package testbed

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script puts a shell script into dir and returns its path.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := program(t, dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLookupConsul(t *testing.T) {
	pinned, err := consul.pinnedVersion()
	if err != nil {
		t.Fatal(err)
	}
	right, wrong, broken := t.TempDir(), t.TempDir(), t.TempDir()
	inPath := script(t, right, "consul", "[ $1 = version ] && echo 'Consul "+pinned+"' && echo 'Revision 1234'")
	named := script(t, wrong, "consul", "echo 'Consul "+pinned+"-dev'")
	script(t, broken, "consul", "exit 1")
	for _, tt := range []struct {
		name, path, binary string
		want               string
		wantErr            error
	}{
		{name: "named, of any version", path: right, binary: named, want: named},
		{name: "named but missing", path: right, binary: "/no/such/consul", wantErr: fs.ErrNotExist},
		{name: "in PATH", path: right, want: inPath},
		{name: "another version in PATH", path: wrong, want: ""},
		{name: "no version in PATH", path: broken, want: ""},
		{name: "nowhere", want: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			t.Setenv("CONSUL_BINARY", tt.binary)
			got, err := lookupConsul(t.Context())
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

// A port that is taken between its choice and its use is another one at the
// next try; whatever else ends the server is reported with what it said.
func TestStartConsulFails(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		starts     int
	}{
		{name: "bad configuration", says: "==> no such setting", starts: 1},
		{name: "port taken", says: "listen tcp 127.0.0.1:1234: bind: address already in use", starts: startTries},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			count := filepath.Join(dir, "starts")
			binary := script(t, dir, "consul", "echo x >>"+shellQuote(count)+"; echo "+shellQuote(tt.says)+"; exit 1")
			_, err := StartConsul(t.Context(), binary, filepath.Join(dir, "state"))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
			starts, err := os.ReadFile(count)
			if err != nil || strings.Count(string(starts), "x") != tt.starts {
				t.Errorf("started %d times, want %d (%v)", strings.Count(string(starts), "x"), tt.starts, err)
			}
			awaitRecordedDeaths(t, filepath.Join(dir, "state", "run"))
		})
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := freePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if port <= 0 || seen[port] {
			t.Errorf("port %d is invalid or given out twice", port)
		}
		seen[port] = true
	}
}
