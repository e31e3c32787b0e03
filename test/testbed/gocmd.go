package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/mod/modfile"
)

// goBuild compiles pkg of the module in dir into a static binary.
func goBuild(ctx context.Context, dir, ldflags, output, pkg string, flags ...string) error {
	_, err := goOutput(ctx, dir, append(append([]string{"build", "-trimpath", "-ldflags", ldflags}, flags...), "-o", output, pkg)...)
	return err
}

// goBuildCgo is goBuild for a package that takes a C compiler.
func goBuildCgo(ctx context.Context, dir, ldflags, output, pkg string) error {
	_, err := goOutputEnv(ctx, dir, []string{"CGO_ENABLED=1"}, "build", "-trimpath", "-ldflags", ldflags, "-o", output, pkg)
	return err
}

// goBuildRace is goBuild with the race detector, which cannot be static. Its flags are
// those of go test -race, so that what both compile is compiled once.
func goBuildRace(ctx context.Context, dir, ldflags, output, pkg string, flags ...string) error {
	_, err := goOutputEnv(ctx, dir, []string{"CGO_ENABLED=1"}, append(append([]string{"build", "-race", "-ldflags", ldflags}, flags...), "-o", output, pkg)...)
	return err
}

// goOutput runs the go command in dir, for the machine it runs on, and returns
// what it prints. The error carries the end of what it complains about.
func goOutput(ctx context.Context, dir string, args ...string) (string, error) {
	return goOutputEnv(ctx, dir, nil, args...)
}

// goOutputEnv is goOutput with further environment variables.
func goOutputEnv(ctx context.Context, dir string, env []string, args ...string) (_ string, err error) {
	state, err := os.MkdirTemp("", "vault-kubernetes-testbed-go-")
	if err != nil {
		return "", err
	}
	// A build would go on for minutes if this process were killed.
	g, err := newRemovingGuard(filepath.Join(state, "run"), state)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(state))
	}
	defer func() { err = errors.Join(err, g.close()) }()
	program, err := exec.LookPath("go")
	if err != nil {
		return "", err
	}
	if program, err = g.wrap("go", program); err != nil {
		return "", err
	}
	cmd := goCommand(ctx, dir, program, args)
	cmd.Env = append(cmd.Env, env...)
	cmd.Env = append(cmd.Env, "GOTMPDIR="+state) // large, and left behind when killed
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, tail(stderr.String(), 30))
	}
	return string(out), nil
}

func goCommand(ctx context.Context, dir, program string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	// A caller that cross-compiles, or sits in a workspace, means its own code.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=", "GOARCH=", "GOWORK=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// As from a terminal: the go command removes its work, and the compilers end.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// sourcesOf reads the main package of a module that has one of its own.
func sourcesOf(dir string) (texts []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// RepositoryRoot finds the checkout that this package belongs to: the working
// directory's, else, for a program started from elsewhere, the one it was
// compiled from, which -trimpath hides.
func RepositoryRoot() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	starts := []string{wd}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			gomod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && modfile.ModulePath(gomod) == PluginName {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("no checkout of %s holds the working directory %s", PluginName, wd)
}
