package e2e

import (
	"bufio"
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

var monitorCommand = regexp.MustCompile(`(?m)^\$ (vault monitor .*)$`)

// TestRefusalsAreSeenWithoutARestart has a pod log in with a token for another audience, in a
// Vault whose log says nothing of it, and types what the documentation says.
func TestRefusalsAreSeenWithoutARestart(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *testbed.VaultOptions) { o.LogLevel = "info" })
	c := mainCluster(t)
	m := s.newMount(t, testbed.PluginName, bed.PluginVersion)
	m.must(t, http.MethodPost, "config", c.config())
	who := c.newAccount(t, c.newNamespace(t, nil), "web", nil)
	m.must(t, http.MethodPost, "role/web", fields{
		"bound_service_account_names": "web", "bound_service_account_namespaces": who.namespace, "audience": "vault",
	})
	token := c.newToken(t, who, "elsewhere")

	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	found := monitorCommand.FindStringSubmatch(contents(t, filepath.Join(root, "docs", "troubleshooting.md"))[filepath.Join(root, "docs", "troubleshooting.md")])
	if found == nil {
		t.Fatal("the documentation has no such command")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "exec "+found[1])
	cmd.Env = append(cmd.Environ(), bed.EnvFor(s.Vault)...)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer cancel()
	seen := make(chan string)
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "login refused") {
				seen <- lines.Text()
				return
			}
		}
		close(seen)
	}()
	for {
		if a := m.login(t, fields{"role": "web", "jwt": token}); a.Status != http.StatusForbidden {
			t.Fatalf("a token for another audience: %v", a)
		}
		select {
		case line := <-seen:
			if !strings.Contains(line, "audience") {
				t.Errorf("the line is %q, and does not say why", line)
			}
			wantLogWithout(t, s, "login refused")
			return
		case <-time.After(200 * time.Millisecond): // it may not have been listening yet
		}
	}
}

func wantLogWithout(t *testing.T, s server, text string) {
	t.Helper()
	for _, log := range contents(t, s.LogPath) {
		if strings.Contains(log, text) {
			t.Errorf("Vault's log has %q, and there would be no need for the command", text)
		}
	}
}
