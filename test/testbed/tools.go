package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// Tools are the paths of the programs that the bed runs.
type Tools struct {
	Vault         string
	Etcd          string
	KubeAPIServer string
	Kubectl       string
}

// FindTools finds each program, or builds it from the module under tools/ that
// pins its version:
//
//   - vault: VAULT_BINARY, else the one in PATH if it is of the pinned version or a later
//     one of the same minor release, else a build; progress is told which, and why. The
//     variable TESTBED_VAULT, 1.20 say, has it built from tools/vault-1.20 instead, if there
//     is such a module.
//   - etcd, kube-apiserver, kubectl: the directory KUBEBUILDER_ASSETS, else a
//     build. One in PATH is not used, for it may be of any age. The variable
//     TESTBED_KUBERNETES, 1.35 say, has kube-apiserver built from
//     tools/kube-apiserver-1.35 instead.
//
// A variable that is set but leads to no executable file is an error, since
// whoever set it does not want another program. KUBEBUILDER_ASSETS may lack
// kubectl only, which not every distribution of the two servers brings.
//
// Builds are kept in the user's cache directory under
// vault-plugin-auth-kubernetes, and a second process that wants one waits for
// the first to finish it. progress receives a line for each step.
func FindTools(ctx context.Context, progress io.Writer) (Tools, error) {
	var tools Tools
	for _, t := range []struct {
		dst  *string
		tool tool
	}{
		{&tools.Etcd, etcd},
		{&tools.KubeAPIServer, kubeAPIServer.of(os.Getenv("TESTBED_KUBERNETES"))},
		{&tools.Kubectl, kubectl},
		{&tools.Vault, vault.of(os.Getenv("TESTBED_VAULT"))},
	} {
		path, err := t.tool.lookup()
		if err == nil && path == "" && t.tool.version != nil {
			path, err = t.tool.fromPath(ctx, progress)
		}
		if err == nil && path == "" {
			path, err = t.tool.build(ctx, progress)
		}
		if err != nil {
			return Tools{}, err
		}
		*t.dst = path
	}
	return tools, nil
}

// A tool is a program that can be found, or built from a module under tools/.
type tool struct {
	name      string
	module    string // directory under tools/
	pkg       string
	versionOf string                        // the module that gives the program its version
	ldflags   func(version string) []string // beyond -s -w
	cgo       bool                          // it takes a C compiler
	usually   string                        // time a build takes on two cores
	lookup    func() (string, error)        // "" if it has to be built

	// version asks a program for its version. Only of a tool that has it the one in PATH
	// is used.
	version func(ctx context.Context, path string) (string, error)
}

var (
	etcd = tool{
		name:      "etcd",
		module:    "etcd",
		pkg:       "go.etcd.io/etcd/server/v3",
		versionOf: "go.etcd.io/etcd/server/v3",
		usually:   "half a minute to a minute",
		lookup:    func() (string, error) { return fromAssets("etcd", true) },
	}
	kubeAPIServer = tool{
		name:      "kube-apiserver",
		module:    "kube-apiserver",
		pkg:       "k8s.io/kubernetes/cmd/kube-apiserver",
		versionOf: "k8s.io/kubernetes",
		ldflags:   kubernetesVersion,
		usually:   "4 to 8 minutes",
		lookup:    func() (string, error) { return fromAssets("kube-apiserver", true) },
	}
	kubectl = tool{
		name:      "kubectl",
		module:    "kube-apiserver",
		pkg:       "k8s.io/kubernetes/cmd/kubectl",
		versionOf: "k8s.io/kubernetes",
		ldflags:   kubernetesVersion,
		usually:   "1 to 2 minutes",
		lookup:    func() (string, error) { return fromAssets("kubectl", false) },
	}
	vault = tool{
		name:      "vault",
		module:    "vault",
		pkg:       "github.com/hashicorp/vault",
		versionOf: "github.com/hashicorp/vault",
		usually:   "8 to 12 minutes",
		lookup:    func() (string, error) { return fromVariable("VAULT_BINARY") },
		version:   vaultVersion,
	}
)

// of is the tool in another version, by its major and minor numbers, "" for the usual one. It
// is built whatever programs there are, since each of them may be of any version.
func (t tool) of(version string) tool {
	if version == "" {
		return t
	}
	t.name += "-" + version
	t.module += "-" + version
	t.lookup = func() (string, error) { return "", nil }
	t.version = nil
	return t
}

// fromAssets looks into KUBEBUILDER_ASSETS, where the ecosystem's test tools
// keep the programs of a control plane.
func fromAssets(name string, required bool) (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		return "", nil
	}
	path, err := executable(filepath.Join(dir, name))
	if err == nil {
		return path, nil
	}
	if _, statErr := os.Stat(dir); !required && statErr == nil {
		return "", nil
	}
	return "", fmt.Errorf("KUBEBUILDER_ASSETS=%s: %w", dir, err)
}

// fromPath returns the program in PATH if it will do, and says whether it does. One of
// another version fails tests for reasons that are its own.
func (t tool) fromPath(ctx context.Context, progress io.Writer) (string, error) {
	path, err := exec.LookPath(t.name)
	if err != nil {
		return "", nil
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	wanted, err := t.pinnedVersion()
	if err != nil {
		return "", err
	}
	found, err := t.version(ctx, path)
	if err != nil {
		fmt.Fprintf(progress, "not using %s: %v\n", path, err)
		return "", nil
	}
	if semver.MajorMinor(found) != semver.MajorMinor(wanted) || semver.Compare(found, wanted) < 0 {
		fmt.Fprintf(progress, "not using %s, which is %s: this is made for %s; VAULT_BINARY=%s uses it all the same\n", path, found, wanted, path)
		return "", nil
	}
	fmt.Fprintf(progress, "using %s, which is %s\n", path, found)
	return path, nil
}

// vaultVersion reads "Vault v1.21.0 (…), built …".
func vaultVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return "", fmt.Errorf("it does not tell its version: %w", err)
	}
	words := strings.Fields(string(out))
	if len(words) < 2 || words[0] != "Vault" || !semver.IsValid(words[1]) {
		return "", errors.New("it does not tell its version as Vault does")
	}
	return words[1], nil
}

// versionTimeout bounds the wait for whatever program is in PATH under the name.
const versionTimeout = 30 * time.Second

// fromVariable returns the program that a variable names, "" if it names none. One
// that leads nowhere is an error.
func fromVariable(name string) (string, error) {
	file := os.Getenv(name)
	if file == "" {
		return "", nil
	}
	path, err := executable(file)
	if err != nil {
		return "", fmt.Errorf("%s=%s: %w", name, file, err)
	}
	return path, nil
}

// executable returns the absolute path of a file that can be run. LookPath
// alone would look for a name without a slash in PATH.
func executable(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	return exec.LookPath(path)
}
