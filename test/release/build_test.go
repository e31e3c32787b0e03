// Package release makes a release twice, from clones in different folders, and looks
// at what comes out; a real Vault takes it. The Dockerfile's build is tried as well.
package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// Both clones carry the tag, so it is the version of what they make.
const (
	tag      = "v0.0.1-test.1"
	platform = runtime.GOOS + "/" + runtime.GOARCH
)

// built are the folders of two builds of the same commit, and what must not be in
// any file of theirs: the paths of this machine.
type built struct {
	clone         string // of the first
	first, second string
	paths         []string
}

// artifact is the file name of the plugin for this machine's platform.
func artifact() string {
	name := testbed.PluginName + "_" + tag + "_" + strings.ReplaceAll(platform, "/", "_")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return name
}

var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "vault-kubernetes-release-"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// builds makes the release twice, for the tests together: once as this machine is
// set up, and once in a deeper folder, with an empty build cache, another home and
// settings that a release must not heed. Not to share the cache is what makes the
// second build one of its own; it is most of the time that these tests take.
var builds = sync.OnceValues(func() (b built, err error) {
	if b.clone, err = clone("a"); err != nil {
		return b, err
	}
	second, err := clone(filepath.Join("b", "deeper", "than the other"))
	if err != nil {
		return b, err
	}
	home := filepath.Join(scratch, "home")
	b.first, b.second = filepath.Join(scratch, "out"), filepath.Join(second, "build", "release")
	b.paths = []string{scratch, home}
	if root, err := testbed.RepositoryRoot(); err == nil {
		b.paths = append(b.paths, root)
	}
	err1 := release(b.clone, "RELEASE_DIR="+b.first)
	err2 := release(second,
		"HOME="+home, "GOCACHE="+filepath.Join(scratch, "cache"), "TZ=Asia/Tokyo", "LC_ALL=",
		"GOFLAGS=-gcflags=-N -tags=other -buildvcs=true", "GOAMD64=v3", "GOARM64=v9.0", "CGO_ENABLED=1", "GOWORK=off")
	return b, errors.Join(err1, err2)
})

func bothBuilds(t *testing.T) built {
	t.Helper()
	requireGit(t)
	b, err := builds()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func requireGit(t *testing.T) {
	t.Helper()
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("no git checkout to clone:", err)
	}
}

// clone makes a tagged clone of this checkout's commit under the scratch folder.
func clone(name string) (string, error) {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		return "", err
	}
	commit, err := output(root, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(scratch, name)
	_, err1 := output(root, nil, "git", "clone", "-q", "--no-checkout", root, dir)
	_, err2 := output(dir, nil, "git", "checkout", "-q", strings.TrimSpace(commit))
	_, err3 := output(dir, nil, "git", "tag", "--force", tag)
	return dir, errors.Join(err1, err2, err3)
}

// release runs the release script of a clone. By default only for this machine's
// platform, as each further one takes a minute or two.
func release(dir string, env ...string) error {
	if os.Getenv("RELEASE_FULL") == "" {
		env = append(env, "PLATFORMS="+platform)
	}
	modules, err := output(dir, nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	env = append(env, "GOMODCACHE="+strings.TrimSpace(modules))
	began := time.Now()
	_, err = output(dir, env, "scripts/release.sh")
	fmt.Fprintf(os.Stderr, "built in %s: %v\n", time.Since(began).Round(time.Second), err == nil)
	return err
}

// output runs a command in a folder and returns what it prints. Variables that would
// steer a release, and git, are only those of env.
func output(dir string, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	for _, setting := range os.Environ() {
		key, _, _ := strings.Cut(setting, "=")
		switch key {
		case "VERSION", "PLATFORMS", "RELEASE_DIR", "SOURCE_DATE_EPOCH", "GOFLAGS", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE":
		default:
			cmd.Env = append(cmd.Env, setting)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %q in %s: %w\n%s%s", name, args, dir, err, out, stderr.String())
	}
	return string(out), nil
}
