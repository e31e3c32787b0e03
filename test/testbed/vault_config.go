package testbed

import (
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
)

// freeAddress is one that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// writeConfig chooses a free port and writes the server's configuration.
func (v *Vault) writeConfig(opts VaultOptions) error {
	address, err1 := freeAddress()
	cluster, err2 := freeAddress()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	v.Addr = "http://" + address
	settings := map[string]any{
		"api_addr":         v.Addr,
		"disable_mlock":    true,
		"listener":         map[string]any{"tcp": map[string]any{"address": address, "tls_disable": true}},
		"log_level":        opts.LogLevel,
		"plugin_directory": v.PluginDir,
		"storage":          map[string]any{"file": map[string]any{"path": filepath.Join(v.dir, "storage")}},
		"ui":               false,
	}
	if opts.Raft != "" {
		// A port more than the listener's, as Vault has it where nobody says otherwise,
		// would not be known to be free.
		settings["cluster_addr"] = "https://" + cluster
		settings["listener"].(map[string]any)["tcp"].(map[string]any)["cluster_address"] = cluster
		settings["storage"] = map[string]any{"raft": map[string]any{"path": opts.Raft, "node_id": "only"}}
	}
	maps.Copy(settings, opts.Config)
	config, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(v.configPath(), config, 0o600)
}

func (v *Vault) configPath() string { return filepath.Join(v.dir, "vault.json") }
