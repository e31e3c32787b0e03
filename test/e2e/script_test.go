package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestScript runs the sessions under testdata/script. They have vault and kubectl
// on the PATH, pointed at a Vault and the bed's first cluster; KUBECONFIG_WEST,
// HOST_WEST and CA_WEST are the second cluster's.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: func(env *testscript.Env) error { return setupScript(env, bed.Vault) },
	})
}

// TestScriptAlone runs the sessions that reload plugins and take mounts away, each with
// a Vault of its own.
func TestScriptAlone(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/alone",
		Setup: func(env *testscript.Env) error { return setupScript(env, newServer(t).Vault) },
	})
}

func setupScript(env *testscript.Env, vault *testbed.Vault) error {
	for _, setting := range bed.EnvFor(vault) {
		name, value, _ := strings.Cut(setting, "=")
		env.Setenv(name, value)
	}
	env.Setenv("HOST_EAST", bed.Cluster.Host)
	env.Setenv("CA_EAST", bed.Cluster.CAPath)
	env.Setenv("HOST_WEST", otherCluster.Host)
	env.Setenv("CA_WEST", otherCluster.CAPath)
	env.Setenv("KUBECONFIG_WEST", otherCluster.KubeconfigPath)
	// The vault command line keeps its token under HOME; the sessions set it
	// through VAULT_TOKEN alone.
	home := env.Getenv("WORK") + "/home"
	env.Setenv("HOME", home)
	return os.Mkdir(home, 0o755)
}
