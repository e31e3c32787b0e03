package testbed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BuildPlugin builds the plugin from the repository's root into dir, which is
// created if it is missing, and returns the binary's path. The version, such as
// v1.2.3, is linked in; empty leaves the one in the source. If the
// build fails, the error carries the compiler's output.
func BuildPlugin(ctx context.Context, dir, version string) (string, error) {
	root, err := RepositoryRoot()
	if err != nil {
		return "", err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	ldflags := "-s -w"
	if version != "" {
		ldflags += " -X main.version=" + version
	}
	out := filepath.Join(dir, PluginName)
	if err := goBuild(ctx, root, ldflags, out, "."); err != nil {
		return "", fmt.Errorf("cannot build the plugin: %w", err)
	}
	return out, nil
}

// SHA256 returns the checksum of a file as `vault plugin register -sha256` takes it.
func SHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// pluginVersion asks a plugin's binary under which version to register it; Vault
// refuses any other.
func pluginVersion(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "-version").Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask the plugin for its version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
