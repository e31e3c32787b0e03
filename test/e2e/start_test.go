package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestPluginDoesNotStart makes the mistakes that keep Vault from running the plugin, and
// looks for what is in the documentation among what was said. Each is mended as it says.
func TestPluginDoesNotStart(t *testing.T) {
	t.Parallel()
	said := &sayings{}
	var logs []string
	for name, mistake := range map[string]func(t *testing.T, said *sayings) (log string){
		"binary replaced":       binaryReplaced,
		"version deregistered":  versionDeregistered,
		"binary missing":        binaryMissing,
		"no place for a socket": noPlaceForASocket,
		"memory not locked":     memoryNotLocked,
	} {
		t.Run(name, func(t *testing.T) { logs = append(logs, mistake(t, said)) })
	}
	if t.Failed() {
		return
	}
	_, start := troubleshooting(t)
	if rows := wantSaid(t, start, said.text.String()+strings.Join(logs, "\n")); rows < 5 {
		t.Errorf("only %d symptoms; the pattern must be wrong", rows)
	}
}

// binaryReplaced puts another build under the name of the one that runs.
func binaryReplaced(t *testing.T, said *sayings) string {
	s, m := newServerWithMount(t)
	path := filepath.Join(s.PluginDir, testbed.PluginName)
	copied, err := exec.CommandContext(t.Context(), "cp", os.Args[0], path).CombinedOutput()
	if err == nil {
		t.Error("a file that runs could be written")
	}
	said.add(fields{"cp": string(copied)})
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeAnew(t, path, []byte("#!/bin/sh\n"))
	if a := m.send(t, http.MethodGet, "config", nil); a.Status != http.StatusOK {
		t.Errorf("while the old process runs: %v", a)
	}
	s.endPlugin(t)
	said.add(fields{"errors": m.awaitNoPlugin(t)})
	writeAnew(t, path, content)
	m.must(t, http.MethodGet, "config", nil)
	return s.log(t)
}

// versionDeregistered takes the version that a mount runs out of the catalog.
func versionDeregistered(t *testing.T, said *sayings) string {
	s, m := newServerWithMount(t)
	catalog := "sys/plugins/catalog/auth/" + testbed.PluginName
	s.must(t, http.MethodDelete, catalog+"?version="+bed.PluginVersion, nil)
	if a := m.send(t, http.MethodGet, "config", nil); a.Status != http.StatusOK {
		t.Errorf("while the process runs: %v", a)
	}
	s.endPlugin(t)
	said.add(fields{"errors": m.awaitNoPlugin(t)})
	s.must(t, http.MethodPost, catalog, fields{"command": testbed.PluginName, "sha256": bed.PluginSHA256, "version": bed.PluginVersion})
	m.must(t, http.MethodGet, "config", nil)
	return s.log(t)
}

// binaryMissing unseals a server that has not got the binary, as one that was added to
// others may. A reload brings logins and no writes.
func binaryMissing(t *testing.T, said *sayings) string {
	s, m := newServerWithMount(t)
	path := filepath.Join(s.PluginDir, testbed.PluginName)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	if a := m.login(t, fields{"role": "app", "jwt": "x"}); a.Status != http.StatusForbidden {
		t.Errorf("a client without the binary: %v", a)
	}
	a := m.send(t, http.MethodPost, "login", fields{"role": "app", "jwt": "x"})
	if a.Status != http.StatusNotFound {
		t.Errorf("without the binary: %v", a)
	}
	said.add(fields{"errors": a.errors()})
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	s.must(t, http.MethodPut, "sys/plugins/reload/backend", fields{"mounts": "auth/" + m.path + "/"})
	m.must(t, http.MethodGet, "config", nil)
	a = m.send(t, http.MethodPost, "role/app", fields{"bound_service_account_names": "app", "bound_service_account_namespaces": "app"})
	if a.Status != http.StatusInternalServerError {
		t.Errorf("a write after the reload: %v", a)
	}
	said.add(fields{"errors": a.errors()})
	restart(t, s)
	m.must(t, http.MethodPost, "role/app", fields{"bound_service_account_names": "app", "bound_service_account_namespaces": "app"})
	return s.log(t)
}

// noPlaceForASocket gives Vault a folder for temporary files that is not there.
func noPlaceForASocket(t *testing.T, said *sayings) string {
	missing := filepath.Join(t.TempDir(), "missing")
	s := newServer(t, func(o *testbed.VaultOptions) { o.Env = append(o.Env, "TMPDIR="+missing) })
	enable := func() answer {
		return s.send(t, http.MethodPost, "sys/auth/k", fields{"type": testbed.PluginName, "plugin_version": bed.PluginVersion})
	}
	a := enable()
	if a.Status == http.StatusNoContent {
		t.Fatal("it starts")
	}
	said.add(fields{"errors": a.errors()})
	// What looks like a remedy: the plugin then has a folder that Vault does not know of.
	s.must(t, http.MethodPost, "sys/plugins/catalog/auth/"+testbed.PluginName, fields{
		"command": testbed.PluginName, "sha256": bed.PluginSHA256, "version": bed.PluginVersion, "env": []string{"TMPDIR=" + t.TempDir()},
	})
	if a = enable(); a.Status == http.StatusNoContent {
		t.Error("it starts with -env=TMPDIR; the documentation says that it does not")
	}
	said.add(fields{"errors": a.errors()})
	return s.log(t)
}

// memoryNotLocked starts the plugin as a Vault does that locks its memory, without the
// right to.
func memoryNotLocked(t *testing.T, _ *sayings) string {
	if runtime.GOOS != "linux" {
		t.Skip("limits are set as on Linux; this is", runtime.GOOS)
	}
	// Below the test's own folder nobody else may look.
	dir, err := os.MkdirTemp("", "plugin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	binary := filepath.Join(dir, testbed.PluginName)
	content, err := os.ReadFile(bed.PluginBinary)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(binary, content, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", `ulimit -l 64; exec "$0"`, binary)
	cmd.Env = append(os.Environ(), "VAULT_PLUGIN_MLOCK_ENABLED=true")
	if os.Geteuid() == 0 { // who has the capability
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Dir = "/"
	var stderr strings.Builder
	cmd.Stderr = &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var line struct {
		Level   string `json:"@level"`
		Message string `json:"@message"`
		Error   string `json:"error"`
	}
	if err := json.Unmarshal([]byte(stderr.String()), &line); err != nil || line.Level != "error" {
		t.Fatalf("Vault would not show this: %v\n%s", err, stderr.String())
	}
	return line.Message + ": error=\"" + line.Error + "\"" // as Vault writes it
}

// newServerWithMount is for tests that break the plugin of a server.
func newServerWithMount(t *testing.T) (server, mount) {
	t.Helper()
	s := newServer(t)
	m := s.newMount(t, testbed.PluginName, bed.PluginVersion)
	m.must(t, http.MethodPost, "config", mainCluster(t).config())
	return s, m
}

// endPlugin ends the plugin's processes of one server, as a crash would.
func (s server) endPlugin(t *testing.T) {
	t.Helper()
	for _, process := range s.pluginProcesses(t) {
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the plugin to end", func() (bool, error) { return len(s.pluginProcesses(t)) == 0, nil })
}

// awaitNoPlugin waits until Vault has noticed that the process is gone, and cannot start
// another. It returns what Vault says then.
func (m mount) awaitNoPlugin(t *testing.T) (errors []string) {
	t.Helper()
	await(t, "Vault to try to start the plugin", func() (bool, error) {
		a := m.send(t, http.MethodGet, "config", nil)
		errors = a.errors()
		return a.Status == http.StatusInternalServerError && !strings.Contains(fmt.Sprint(errors), "rpc error"), nil
	})
	return errors
}

func (s server) pluginProcesses(t *testing.T) (found []*os.Process) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	if len(links) == 0 {
		t.Skip("this system has no /proc to find processes in")
	}
	for _, link := range links {
		program, err := os.Readlink(link)
		if err != nil || filepath.Dir(program) != s.PluginDir {
			continue
		}
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		process, err2 := os.FindProcess(pid)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		found = append(found, process)
	}
	return found
}

func restart(t *testing.T, s server) {
	t.Helper()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s server) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// writeAnew is what install does: the file that runs keeps its content, and the name
// leads to another.
func writeAnew(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
