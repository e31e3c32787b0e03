package testbed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// PluginOptions says how the plugin is built.
type PluginOptions struct {
	// Version is linked in, such as v1.2.3. Empty: the version in the source.
	Version string

	// Race builds with the race detector, which needs a C compiler and makes the
	// plugin some five times slower. [RunTests] fails if it has something to report.
	Race bool

	// Main is a file that takes the place of the plugin's main.go, for a plugin that lets a
	// test do more than the one of a release: that has no way to, such as to move its clock.
	Main string
}

// BuildPlugin builds the plugin from the repository's root into dir, which is
// created if it is missing, and returns the binary's path. If the build fails, the
// error carries the compiler's output.
func BuildPlugin(ctx context.Context, dir string, opts PluginOptions) (string, error) {
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
	flags, err := os.ReadFile(filepath.Join(root, "scripts", "link-flags")) // as in a release
	if err != nil {
		return "", err
	}
	ldflags := strings.TrimSpace(string(flags))
	if opts.Version != "" {
		ldflags += " -X main.version=" + opts.Version
	}
	out := filepath.Join(dir, PluginName)
	var replaced []string
	if opts.Main != "" {
		overlay, err := writeOverlay(dir, filepath.Join(root, "main.go"), opts.Main)
		if err != nil {
			return "", err
		}
		replaced = []string{"-overlay", overlay}
	}
	if opts.Race {
		err = goBuildRace(ctx, root, ldflags, out, ".", replaced...)
	} else {
		err = goBuild(ctx, root, ldflags, out, ".", replaced...)
	}
	if err != nil {
		return "", fmt.Errorf("cannot build the plugin: %w", err)
	}
	return out, nil
}

// writeOverlay writes what has the go command compile one file in the place of another.
func writeOverlay(dir, replaced, by string) (path string, err error) {
	if by, err = filepath.Abs(by); err != nil {
		return "", err
	}
	content, err := json.Marshal(map[string]any{"Replace": map[string]string{replaced: by}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, content, 0o600)
}

// installInto puts the bed's plugin into the plugin directory of a Vault. It is a link,
// which costs nothing; the race detector makes the binary large.
func (b *Bed) installInto(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Link(b.PluginBinary, filepath.Join(dir, PluginName))
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
