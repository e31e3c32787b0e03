package testbed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// build returns the cached build of t, making it first if there is none.
func (t tool) build(ctx context.Context, progress io.Writer) (string, error) {
	b, err := t.resolved(ctx, progress)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return "", err
	}
	return b.output, b.ensure(ctx, func() error { return b.compile(ctx) })
}

// compile writes b.temp().
func (b *toolBuild) compile(ctx context.Context) error {
	if b.cgo {
		return goBuildCgo(ctx, b.moduleDir, b.ldflags, b.temp(), b.pkg)
	}
	return goBuild(ctx, b.moduleDir, b.ldflags, b.temp(), b.pkg)
}

// built returns the cached build of t, "" if there is none.
func (t tool) built(ctx context.Context) (string, error) {
	b, err := t.resolved(ctx, io.Discard)
	if err != nil {
		return "", err
	}
	if _, err := executable(b.output); err != nil {
		return "", nil
	}
	b.noteUse()
	return b.output, nil
}

// resolved is the build that t would have in this checkout.
func (t tool) resolved(ctx context.Context, progress io.Writer) (toolBuild, error) {
	root, err := RepositoryRoot()
	if err != nil {
		return toolBuild{}, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return toolBuild{}, fmt.Errorf("no place to keep a build of %s: %w", t.name, err)
	}
	b := toolBuild{
		tool: t, moduleDir: filepath.Join(root, "tools", t.module), progress: progress,
		cache: filepath.Join(cache, "vault-plugin-auth-kubernetes"),
	}
	if err := b.resolve(ctx); err != nil {
		return toolBuild{}, fmt.Errorf("cannot build %s: %w", t.name, err)
	}
	return b, nil
}

// toolBuild is one build of a tool: what goes in, and where it comes out.
type toolBuild struct {
	tool
	moduleDir string
	cache     string
	progress  io.Writer

	version string
	ldflags string
	output  string // <cache>/<name>-<version>-<key>
}

// resolve computes the version, the linker flags and the output's name.
func (b *toolBuild) resolve(ctx context.Context) error {
	gomod, err := os.ReadFile(filepath.Join(b.moduleDir, "go.mod"))
	if err != nil {
		return err
	}
	gosum, err := os.ReadFile(filepath.Join(b.moduleDir, "go.sum"))
	if err != nil {
		return err
	}
	if b.version, err = requiredVersion(gomod, b.versionOf); err != nil {
		return err
	}
	goVersion, err := goOutput(ctx, b.moduleDir, "version")
	if err != nil {
		return err
	}
	flags := []string{"-s", "-w"}
	if b.tool.ldflags != nil {
		flags = append(flags, b.tool.ldflags(b.version)...)
	}
	b.ldflags = strings.Join(flags, " ")
	sources, err := sourcesOf(b.moduleDir)
	if err != nil {
		return err
	}
	key := cacheKey(append([]string{b.pkg, b.ldflags, goVersion, string(gomod), string(gosum)}, sources...)...)
	b.output = filepath.Join(b.cache, b.name+"-"+b.version+"-"+key)
	return nil
}

// ensure runs compile, which must write b.temp(), unless b.output is there. No
// two processes do so at the same time.
func (b *toolBuild) ensure(ctx context.Context, compile func() error) error {
	if _, err := executable(b.output); err == nil {
		b.noteUse()
		return nil
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := executable(b.output); err == nil {
		return nil // the process that held the lock has built it
	}
	fmt.Fprintf(b.progress, "building %s %s once into %s (usually %s)\n", b.name, b.version, b.cache, b.usually)
	began := time.Now()
	defer os.Remove(b.temp()) // gone by then, if all went well
	if err := compile(); err != nil {
		return fmt.Errorf("cannot build %s %s: %w", b.name, b.version, err)
	}
	if err := os.Rename(b.temp(), b.output); err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "built %s in %s\n", b.name, time.Since(began).Round(time.Second))
	return b.removeOthers()
}

// temp is where the compiler writes: a half-written file must never bear the
// name of a finished one. It is this process' own, since the compiler of a
// process that was killed, whose lock is free, may still be at work.
func (b *toolBuild) temp() string {
	return filepath.Join(b.cache, fmt.Sprintf(".%s.%d.tmp", b.name, os.Getpid()))
}

// lock takes the lock on the tool's builds. It says so when it has to wait.
func (b *toolBuild) lock(ctx context.Context) (unlock func(), err error) {
	type result struct {
		unlock func()
		err    error
	}
	done := make(chan result, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(filepath.Join(b.cache, "."+b.name+".lock")).Lock()
		done <- result{unlock, err}
	}()
	notice := time.NewTimer(time.Second)
	defer notice.Stop()
	for {
		select {
		case r := <-done:
			return r.unlock, r.err
		case <-notice.C:
			fmt.Fprintf(b.progress, "waiting for another process that builds %s (usually %s)\n", b.name, b.usually)
		case <-ctx.Done():
			go func() { // the lock may still be granted
				if r := <-done; r.err == nil {
					r.unlock()
				}
			}()
			return nil, context.Cause(ctx)
		}
	}
}

// unused is how long a build is kept that nobody asks for. Checkouts whose pins differ
// share a cache, and must not delete what another uses; each build takes minutes.
const unused = 30 * 24 * time.Hour

// noteUse keeps the build from being taken for one that nobody uses. Where its time
// cannot be set, it is built again some day.
func (b *toolBuild) noteUse() {
	now := time.Now()
	_ = os.Chtimes(b.output, now, now)
}

// removeOthers drops builds of the tool that nobody has used for long, and what is left
// of those that were killed; they are large.
func (b *toolBuild) removeOthers() error {
	finished, err1 := filepath.Glob(filepath.Join(b.cache, b.name+"-v*"))
	unfinished, err2 := filepath.Glob(filepath.Join(b.cache, "."+b.name+".*.tmp"))
	errs := []error{err1, err2}
	for _, other := range finished {
		info, err := os.Stat(other)
		if err != nil || other == b.output || time.Since(info.ModTime()) < unused {
			continue // one that is gone was removed by somebody else
		}
		errs = append(errs, os.Remove(other))
	}
	for _, other := range unfinished {
		errs = append(errs, os.Remove(other))
	}
	return errors.Join(errs...)
}

// cacheKey identifies a build by all that goes into it.
func cacheKey(inputs ...string) string {
	h := sha256.New()
	for _, in := range inputs {
		fmt.Fprintf(h, "%d:%s", len(in), in)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}

// requiredVersion reads a module's version from a go.mod file.
func requiredVersion(gomod []byte, module string) (string, error) {
	f, err := modfile.ParseLax("go.mod", gomod, nil)
	if err != nil {
		return "", err
	}
	for _, r := range f.Require {
		if r.Mod.Path == module {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("go.mod does not require %s", module)
}

// kubernetesVersion sets what Kubernetes' programs say of themselves; without
// it they claim v0.0.0-master, which clients take for an ancient server.
func kubernetesVersion(version string) []string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(semver.MajorMinor(version), "v"), ".")
	const pkg = "k8s.io/component-base/version."
	return []string{
		"-X", pkg + "gitVersion=" + version,
		"-X", pkg + "gitMajor=" + major,
		"-X", pkg + "gitMinor=" + minor,
		"-X", pkg + "gitTreeState=archive",
	}
}
