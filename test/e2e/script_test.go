package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the sessions under testdata/script. They have vault and kubectl
// on the PATH, pointed at the bed's Vault and its first cluster; KUBECONFIG_WEST,
// HOST_WEST and CA_WEST are the second cluster's.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setupScript,
	})
}

func setupScript(env *testscript.Env) error {
	for _, setting := range bed.Env() {
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
