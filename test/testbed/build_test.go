package testbed

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

func TestRepositoryRootFromElsewhere(t *testing.T) {
	want, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(want, "tools", "vault", "go.mod")); err != nil {
		t.Fatalf("%s is not the root: %v", want, err)
	}
	t.Chdir("/")
	got, err := RepositoryRoot()
	if err != nil {
		// Compiled with -trimpath: then there is no way to know, and it must say so.
		if !strings.Contains(err.Error(), "working directory /") {
			t.Error(err)
		}
		return
	}
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Every tool must resolve to a version from its module, and two tools of one
// module must not share an entry of the cache.
func TestResolve(t *testing.T) {
	root, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, tool := range []tool{
		etcd, kubeAPIServer, kubeAPIServer.of("1.34"), kubeAPIServer.of("1.35"), kubeAPIServer.of("1.37"), kubectl,
		vault, consulTemplate, externalSecrets, certManager, spireServer,
	} {
		b := toolBuild{tool: tool, moduleDir: filepath.Join(root, "tools", tool.module), cache: "/cache"}
		if err := b.resolve(t.Context()); err != nil {
			t.Errorf("%s: %v", tool.name, err)
			continue
		}
		prefix := "/cache/" + tool.name + "-" + b.version + "-"
		key, ok := strings.CutPrefix(b.output, prefix)
		if !ok || len(key) != 12 || !strings.HasPrefix(b.version, "v") {
			t.Errorf("%s is kept as %s", tool.name, b.output)
		}
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same key %s", tool.name, other, key)
		}
		seen[key] = tool.name
	}
}

func TestKubernetesVersion(t *testing.T) {
	flags := kubernetesVersion("v1.36.3")
	for _, want := range []string{"gitVersion=v1.36.3", "gitMajor=1", "gitMinor=36"} {
		if !slices.Contains(flags, "k8s.io/component-base/version."+want) {
			t.Errorf("%q lacks %s", flags, want)
		}
	}
}

func TestCacheKeySeparatesInputs(t *testing.T) {
	keys := map[string][]string{}
	for _, inputs := range [][]string{{"a", "b"}, {"ab", ""}, {"", "ab"}, {"b", "a"}, {"a", "b", ""}} {
		key := cacheKey(inputs...)
		if other, ok := keys[key]; ok {
			t.Errorf("%q and %q have the same key", inputs, other)
		}
		keys[key] = inputs
	}
	if again := cacheKey("a", "b"); !slices.Equal(keys[again], []string{"a", "b"}) {
		t.Error("the key of the same inputs changes")
	}
}

func TestRequiredVersionMissing(t *testing.T) {
	_, err := requiredVersion([]byte("module m\nrequire example.com/x v1.2.3\n"), "example.com/y")
	if err == nil || !strings.Contains(err.Error(), "example.com/y") {
		t.Errorf("got %v", err)
	}
}

// newBuild is a build of a made-up tool into an empty cache.
func newBuild(t *testing.T, cache, output string) (*toolBuild, *bytes.Buffer) {
	t.Helper()
	var progress bytes.Buffer
	return &toolBuild{
		tool:     tool{name: "thing", usually: "a blink"},
		cache:    cache,
		progress: &progress,
		version:  "v1.0.0",
		output:   filepath.Join(cache, output),
	}, &progress
}

// writeTemp is a compiler that succeeds.
func writeTemp(b *toolBuild) func() error {
	return func() error { return os.WriteFile(b.temp(), []byte("#!/bin/sh\n"), 0o755) }
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestEnsureRemovesBuildsThatNobodyUses(t *testing.T) {
	cache := t.TempDir()
	longAgo := time.Now().Add(-unused - time.Hour)
	old := program(t, cache, "thing-v0.8.0-abc")
	if err := os.Chtimes(old, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	program(t, cache, "thing-v0.9.0-abc") // of another checkout, in use
	program(t, cache, ".thing.1.tmp")     // of a process that was killed
	program(t, cache, "thingummy-v0.9.0-abc")
	b, progress := newBuild(t, cache, "thing-v1.0.0-def")
	if err := b.ensure(t.Context(), writeTemp(b)); err != nil {
		t.Fatal(err)
	}
	want := []string{".thing.lock", "thing-v0.9.0-abc", "thing-v1.0.0-def", "thingummy-v0.9.0-abc"}
	if got := files(t, cache); !slices.Equal(got, want) {
		t.Errorf("the cache holds %q, want %q", got, want)
	}
	for _, line := range []string{"building thing v1.0.0 once into " + cache + " (usually a blink)\n", "built thing in "} {
		if !strings.Contains(progress.String(), line) {
			t.Errorf("progress %q lacks %q", progress, line)
		}
	}
	if err := b.ensure(t.Context(), func() error { return errors.New("built again") }); err != nil {
		t.Error(err)
	}
}

func TestEnsureKeepsNothingOfAFailedBuild(t *testing.T) {
	b, _ := newBuild(t, t.TempDir(), "thing-v1.0.0-def")
	broken := errors.New("does not compile")
	err := b.ensure(t.Context(), func() error { return errors.Join(writeTemp(b)(), broken) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if got := files(t, b.cache); !slices.Equal(got, []string{".thing.lock"}) {
		t.Errorf("the cache holds %q", got)
	}
}

func TestEnsureBuildsOnce(t *testing.T) {
	cache := t.TempDir()
	var builds atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		b, _ := newBuild(t, cache, "thing-v1.0.0-def")
		wg.Go(func() {
			err := b.ensure(t.Context(), func() error {
				builds.Add(1)
				return writeTemp(b)()
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := builds.Load(); n != 1 {
		t.Errorf("built %d times", n)
	}
}

func TestEnsureGivesUpWaiting(t *testing.T) {
	b, _ := newBuild(t, t.TempDir(), "thing-v1.0.0-def")
	unlock, err := lockedfile.MutexAt(filepath.Join(b.cache, ".thing.lock")).Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Given up only once it waits: before that it may yet create a file in a
	// folder that the test removes at its end.
	b.progress = writerFunc(func(line []byte) {
		if bytes.HasPrefix(line, []byte("waiting for another process")) {
			cancel()
		}
	})
	if err := b.ensure(ctx, writeTemp(b)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestTail(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"a\n", "a"},
		{"a\nb\nc\n", "b\nc"},
	} {
		if got := tail(tt.text, 2); got != tt.want {
			t.Errorf("tail(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestEnsureNotesUse keeps a build that is old, and in use, from being removed by
// another checkout.
func TestEnsureNotesUse(t *testing.T) {
	cache := t.TempDir()
	longAgo := time.Now().Add(-unused - time.Hour)
	if err := os.Chtimes(program(t, cache, "thing-v1.0.0-def"), longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	mine, _ := newBuild(t, cache, "thing-v1.0.0-def")
	if err := mine.ensure(t.Context(), func() error { return errors.New("built again") }); err != nil {
		t.Fatal(err)
	}
	theirs, _ := newBuild(t, cache, "thing-v2.0.0-ghi")
	if err := theirs.ensure(t.Context(), writeTemp(theirs)); err != nil {
		t.Fatal(err)
	}
	if _, err := executable(mine.output); err != nil {
		t.Error(err)
	}
}

// A module with a main package of its own is built anew once that has changed.
func TestOwnSourcesAreInTheKey(t *testing.T) {
	dir := t.TempDir()
	outputs := map[string]bool{}
	for _, main := range []string{"", "package main\n", "package main // another\n"} {
		files := map[string]string{"go.mod": "module x\n\nrequire example.org/tool v1.0.0\n", "go.sum": ""}
		if main != "" {
			files["main.go"] = main
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b := toolBuild{tool: tool{name: "tool", versionOf: "example.org/tool"}, moduleDir: dir, cache: "/cache"}
		if err := b.resolve(t.Context()); err != nil {
			t.Fatal(err)
		}
		outputs[b.output] = true
	}
	if len(outputs) != 3 {
		t.Errorf("three sources are kept as %v", outputs)
	}
}
