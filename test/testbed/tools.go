package testbed

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
//   - vault: VAULT_BINARY, else the one in PATH, else a build
//   - etcd, kube-apiserver, kubectl: the directory KUBEBUILDER_ASSETS, else a
//     build. One in PATH is not used, for it may be of any age.
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
		{&tools.KubeAPIServer, kubeAPIServer},
		{&tools.Kubectl, kubectl},
		{&tools.Vault, vault},
	} {
		path, err := t.tool.lookup()
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
	usually   string                        // time a build takes on two cores
	lookup    func() (string, error)        // "" if it has to be built
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
		lookup:    findVault,
	}
)

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

func findVault() (string, error) {
	if path, err := fromVariable("VAULT_BINARY"); path != "" || err != nil {
		return path, err
	}
	path, err := exec.LookPath("vault")
	if err != nil {
		return "", nil
	}
	return filepath.Abs(path)
}

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
