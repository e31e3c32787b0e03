package testbed

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// consul is not among the [Tools]: only the comparison with Consul's own method
// needs it.
var consul = tool{
	name:      "consul",
	module:    "consul",
	pkg:       "github.com/hashicorp/consul",
	versionOf: "github.com/hashicorp/consul",
	usually:   "4 to 6 minutes",
}

// FindConsul finds the program named by CONSUL_BINARY, else the one in PATH if
// it is of the version that tools/consul pins, since what is compared with it
// depends on that, else builds that version. What is said of builds, and of a
// variable that leads nowhere, at [FindTools] holds here too.
func FindConsul(ctx context.Context, progress io.Writer) (string, error) {
	path, err := lookupConsul(ctx)
	if err != nil || path != "" {
		return path, err
	}
	return consul.build(ctx, progress)
}

// BuiltConsul finds what [FindConsul] would, and returns "" where that would have to be
// built first.
func BuiltConsul(ctx context.Context) (string, error) {
	path, err := lookupConsul(ctx)
	if err != nil || path != "" {
		return path, err
	}
	return consul.built(ctx)
}

// lookupConsul returns "" if the program has to be built.
func lookupConsul(ctx context.Context) (string, error) {
	if path, err := fromVariable("CONSUL_BINARY"); path != "" || err != nil {
		return path, err
	}
	path, err := exec.LookPath("consul")
	if err != nil {
		return "", nil
	}
	want, err := consul.pinnedVersion()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return "", ctx.Err() // a program that cannot say its version is not the one
	}
	if first, _, _ := strings.Cut(string(out), "\n"); strings.TrimSpace(first) != "Consul "+want {
		return "", nil
	}
	return filepath.Abs(path)
}

// pinnedVersion reads the version that a build would have, such as v1.14.11.
func (t tool) pinnedVersion() (string, error) {
	root, err := RepositoryRoot()
	if err != nil {
		return "", err
	}
	gomod, err := os.ReadFile(filepath.Join(root, "tools", t.module, "go.mod"))
	if err != nil {
		return "", err
	}
	return requiredVersion(gomod, t.versionOf)
}
