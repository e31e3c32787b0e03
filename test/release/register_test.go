package release

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestRegister follows REGISTER.md with a real Vault: copies the plugin, pastes the
// command, and mounts it.
func TestRegister(t *testing.T) {
	b := bothBuilds(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // for a first build of Vault
	defer cancel()
	tools, err := testbed.FindTools(ctx, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := testbed.StartVault(ctx, tools, t.TempDir(), testbed.VaultOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vault.Stop(); err != nil {
			t.Error(err)
		}
	})
	plugin, err := os.ReadFile(filepath.Join(b.first, artifact()))
	if err == nil {
		err = os.WriteFile(filepath.Join(vault.PluginDir, artifact()), plugin, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(tools.Vault, filepath.Join(bin, "vault")); err != nil {
		t.Fatal(err)
	}
	shell := func(commands string) string {
		t.Helper()
		printed, err := output(bin, []string{
			"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + bin,
			"VAULT_ADDR=" + vault.Addr, "VAULT_TOKEN=" + vault.RootToken,
		}, "bash", "-ec", commands)
		if err != nil {
			t.Fatal(err)
		}
		return printed
	}
	shell(registration(t, b.first))
	shell("vault auth enable -path=released -plugin-name=" + testbed.PluginName + " plugin")
	mounted := shell("vault read sys/mounts/auth/released")
	for _, want := range []string{tag, sums(t, b.first)[artifact()]} {
		if !strings.Contains(mounted, want) {
			t.Errorf("the mount does not run %s:\n%s", want, mounted)
		}
	}
	if help := shell("vault path-help auth/released/login"); !strings.Contains(help, "jwt") {
		t.Errorf("the mounted plugin answers %s", help)
	}
}

// registration is the command of REGISTER.md for this machine's platform.
func registration(t *testing.T, dir string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(dir, "REGISTER.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^## ` + platform + `\n\n((?:    .*\n)+)`).FindSubmatch(page)
	if command == nil {
		t.Fatalf("REGISTER.md has no command for %s:\n%s", platform, page)
	}
	return string(command[1])
}
