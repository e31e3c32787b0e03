package testbed

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
)

// program puts an executable file into dir and returns its path.
func program(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLookup(t *testing.T) {
	bin, assets := t.TempDir(), t.TempDir()
	program(t, bin, "vault")
	program(t, bin, "kubectl")
	program(t, bin, "etcd")
	named := program(t, t.TempDir(), "my-vault")
	assetEtcd := program(t, assets, "etcd")
	notExecutable := filepath.Join(t.TempDir(), "vault")
	if err := os.WriteFile(notExecutable, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name                      string
		tool                      tool
		path, vaultBinary, assets string
		want                      string
		wantErr                   error
		wantInErr                 string
	}{
		{name: "vault named", tool: vault, path: bin, vaultBinary: named, want: named},
		{name: "vault in PATH", tool: vault, path: bin, want: ""}, // TestVaultInPath
		{name: "vault nowhere", tool: vault, want: ""},
		{name: "vault named but missing", tool: vault, path: bin, vaultBinary: "/no/such/vault",
			wantErr: fs.ErrNotExist, wantInErr: "VAULT_BINARY=/no/such/vault"},
		{name: "vault named by its bare name", tool: vault, path: bin, vaultBinary: "vault",
			wantErr: fs.ErrNotExist, wantInErr: "VAULT_BINARY=vault"},
		{name: "vault named but not executable", tool: vault, path: bin, vaultBinary: notExecutable,
			wantErr: fs.ErrPermission, wantInErr: "VAULT_BINARY="},
		{name: "etcd among the assets", tool: etcd, assets: assets, want: assetEtcd},
		{name: "etcd not from PATH", tool: etcd, path: bin, want: ""},
		{name: "kubectl not from PATH", tool: kubectl, path: bin, want: ""},
		{name: "kubectl missing among the assets", tool: kubectl, path: bin, assets: assets, want: ""},
		{name: "kube-apiserver missing among the assets", tool: kubeAPIServer, assets: assets,
			wantErr: fs.ErrNotExist, wantInErr: "KUBEBUILDER_ASSETS=" + assets},
		{name: "kubectl with no such assets", tool: kubectl, assets: "/no/such/directory",
			wantErr: fs.ErrNotExist, wantInErr: "KUBEBUILDER_ASSETS=/no/such/directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			t.Setenv("VAULT_BINARY", tt.vaultBinary)
			t.Setenv("KUBEBUILDER_ASSETS", tt.assets)
			got, err := tt.tool.lookup()
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Fatalf("got %q, %v; want %q, %v", got, err, tt.want, tt.wantErr)
			}
			if err != nil && !strings.Contains(err.Error(), tt.wantInErr) {
				t.Errorf("error %q does not mention %q", err, tt.wantInErr)
			}
		})
	}
}

func TestLookupIsAbsolute(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "etcd")
	t.Chdir(dir)
	t.Setenv("KUBEBUILDER_ASSETS", ".")
	got, err := etcd.lookup()
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(got) {
		t.Errorf("%q would mean another file in another working directory", got)
	}
}

// TestVaultInPath takes the one in PATH only if it is what the tests are made for, and
// says which it takes.
func TestVaultInPath(t *testing.T) {
	pinned, err := vault.pinnedVersion()
	if err != nil {
		t.Fatal(err)
	}
	minor := semver.MajorMinor(pinned)
	for _, tt := range []struct{ name, says, progress string }{
		{"the pinned version", "Vault " + pinned + " (abc), built 2025-10-21T19:33:51Z", "using "},
		{"a later patch", "Vault " + minor + ".999 (abc)", "using "},
		{"an older release", "Vault v1.9.4 (abc)", "which is v1.9.4: this is made for " + pinned},
		{"a later release", "Vault v2.0.0 (abc)", "which is v2.0.0: this is made for " + pinned},
		{"a pre-release", "Vault " + pinned + "-rc1 (abc)", "this is made for " + pinned},
		{"another program", "vault, the file archiver, 3.1", "does not tell its version as Vault does"},
		{"a program that fails", "", "does not tell its version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin := t.TempDir()
			path := filepath.Join(bin, "vault")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n[ -n '"+tt.says+"' ] && echo '"+tt.says+"'\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", bin)
			var progress strings.Builder
			got, err := vault.fromPath(t.Context(), &progress)
			if err != nil {
				t.Fatal(err)
			}
			if taken := strings.HasPrefix(tt.progress, "using "); (got == path) != taken || (got == "") == taken {
				t.Errorf("got %q", got)
			}
			if !strings.Contains(progress.String(), tt.progress) || !strings.Contains(progress.String(), path) {
				t.Errorf("progress %q lacks %q or the path", progress.String(), tt.progress)
			}
		})
	}
}

// TestOtherVersions has the modules under tools/ pin what their names say, and a version that
// was asked for taken from nowhere else.
func TestOtherVersions(t *testing.T) {
	root, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("VAULT_BINARY", program(t, bin, "vault"))
	t.Setenv("KUBEBUILDER_ASSETS", filepath.Dir(program(t, bin, "kube-apiserver")))
	for _, usual := range []tool{vault, kubeAPIServer} {
		modules, err := filepath.Glob(filepath.Join(root, "tools", usual.module+"-[0-9]*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, module := range modules {
			minor := strings.TrimPrefix(filepath.Base(module), usual.module+"-")
			other := usual.of(minor)
			pinned, err := other.pinnedVersion()
			if err != nil || semver.MajorMinor(pinned) != "v"+minor {
				t.Errorf("tools/%s pins %s: %v", other.module, pinned, err)
			}
		}
		other := usual.of("1.2")
		if path, err := other.lookup(); path != "" || err != nil || other.version != nil || other.module != usual.module+"-1.2" {
			t.Errorf("%s 1.2 would not be built: %q, %v", usual.name, path, err)
		}
		if same := usual.of(""); same.module != usual.module || same.name != usual.name {
			t.Errorf("without a version it is %s", same.module)
		}
	}
}
