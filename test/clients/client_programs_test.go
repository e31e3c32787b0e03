package clients

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// agent runs vault agent or vault proxy with a configuration.
func agent(command string, config func(testing.TB, place) string) func(testing.TB, place) *process {
	return func(t testing.TB, p place) *process {
		t.Helper()
		file := filepath.Join(p.dir, command+".hcl")
		if err := os.WriteFile(file, []byte(config(t, p)), 0o600); err != nil {
			t.Fatal(err)
		}
		return run(t, nil, bed.Tools.Vault, command, "-config="+file)
	}
}

// autoAuth is what both have in common. The command that docs/clients.md gives is this.
func autoAuth(p place, sink string) string {
	return fmt.Sprintf(`
vault {
  address = %q
}
auto_auth {
  method "kubernetes" {
    mount_path = "auth/%s"
    config = {
      role       = %q
      token_path = %q
    }
  }
%s}
`, p.addr, p.mount, p.role, p.file, sink)
}

func sinkFile(p place) string { return filepath.Join(p.dir, "sink") }

func agentConfig(_ testing.TB, p place) string {
	wrap := ""
	if p.wrapped {
		wrap = "    wrap_ttl = \"60s\"\n"
	}
	return autoAuth(p, fmt.Sprintf("  sink \"file\" {\n%s    config = {\n      path = %q\n    }\n  }\n", wrap, sinkFile(p)))
}

// proxyConfig has a listener, without which Vault Proxy does not start.
func proxyConfig(t testing.TB, p place) string {
	return autoAuth(p, "") + fmt.Sprintf(`
api_proxy {
  use_auto_auth_token = true
}
listener "tcp" {
  address     = %q
  tls_disable = true
}
`, freePort(t))
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func consulTemplate(t testing.TB, p place) *process {
	t.Helper()
	file := filepath.Join(p.dir, "consul-template.hcl")
	config := fmt.Sprintf(`
vault {
  address                        = %q
  k8s_auth_role_name             = %q
  k8s_service_account_token_path = %q
  k8s_service_mount_path         = %q
  renew_token                    = true
}
template {
  contents    = "{{ with secret \"auth/token/lookup-self\" }}{{ .Data.accessor }}{{ end }}"
  destination = %q
}
`, p.addr, p.role, p.file, p.mount, filepath.Join(p.dir, "rendered"))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, nil, programs.ConsulTemplate, "-config="+file)
}
