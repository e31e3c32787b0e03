package clients

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
)

// TestExternalSecretsRevokes has External Secrets end as its controller does, with no token left.
func TestExternalSecretsRevokes(t *testing.T) {
	t.Parallel()
	m := newMount(t, settings{})
	said := controller(func() string { return programs.ExternalSecrets }, "CLOSE=true")(t, m.place(byRules))
	if said.Error != "" || said.Accessor == "" || m.logins()["allowed"] != 1 {
		t.Fatalf("%+v; %v", said, m.logins())
	}
	if left := m.tokens(); len(left) != 0 {
		t.Errorf("there is %+v left", left)
	}
}

// controller runs what tools/ has of a controller of a cluster. Such have no token of a pod:
// they ask the API server for one of the service account that a resource names, at each login.
func controller(program func() string, env ...string) func(testing.TB, place) said {
	return func(t testing.TB, p place) said {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program())
		cmd.Env = append(append(os.Environ(), "HOME="+p.dir, "VAULT_TOKEN=", "KUBECONFIG="+bed.Cluster.KubeconfigPath,
			"NAMESPACE="+namespace, "SERVICE_ACCOUNT="+p.account, "AUDIENCE="+audience), p.env()...)
		cmd.Env = append(cmd.Env, env...)
		return printed(t, cmd)
	}
}

// spireServer runs a SPIRE server whose own certificates live for seconds and are signed by
// Vault: it logs in for the first, and again for one of the next once its token has ended. It
// looks every ten seconds whether it needs another.
func spireServer(t testing.TB, p place) *process {
	t.Helper()
	makeAuthority(t, p.root)
	host, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(p.dir, "spire-server.conf")
	config := fmt.Sprintf(`
server {
  bind_address = %q
  bind_port    = %s
  socket_path  = %q
  trust_domain = "example.org"
  data_dir     = %q
  ca_ttl       = "18s"
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type     = "sqlite3"
      connection_string = %q
    }
  }
  KeyManager "memory" {
    plugin_data {}
  }
  UpstreamAuthority "vault" {
    plugin_data {
      vault_addr      = %q
      pki_mount_point = "pki"
      k8s_auth {
        k8s_auth_mount_point = %q
        k8s_auth_role_name   = %q
        token_path           = %q
      }
    }
  }
}
`, host, port, filepath.Join(p.dir, "spire.sock"), p.dir, filepath.Join(p.dir, "spire.sqlite3"), p.addr, p.mount, p.role, p.file)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, nil, programs.SpireServer, "run", "-config", file)
}

// authorities has one caller at a time make an authority.
var authorities sync.Mutex

// makeAuthority has a Vault sign certificates at pki, unless it does.
func makeAuthority(t testing.TB, root *api.Client) {
	t.Helper()
	authorities.Lock()
	defer authorities.Unlock()
	mounts, err := root.Sys().ListMountsWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if mounts["pki/"] != nil {
		return
	}
	if err := root.Sys().MountWithContext(t.Context(), "pki", &api.MountInput{Type: "pki"}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Logical().WriteWithContext(t.Context(), "pki/root/generate/internal", fields{"common_name": "clients"}); err != nil {
		t.Fatal(err)
	}
}
