// Command vault-plugin-auth-kubernetes is a Vault auth method that trades a
// Kubernetes service account token for a Vault token. Vault starts it; run by
// hand it can only tell its version.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"

	"vault-plugin-auth-kubernetes/internal/serve"
)

// version is reported to Vault, which refuses to register the plugin under any
// other. A release sets it with -ldflags "-X main.version=v1.2.3".
var version = "v0.1.0"

func main() {
	if err := run(os.Args[1:]); err != nil {
		hclog.Default().Error("the plugin stops", "error", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	meta := &api.PluginAPIClientMeta{}
	flags := meta.FlagSet()
	showVersion := flags.Bool("version", false, "print the version to register the plugin with, and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *showVersion {
		_, err := fmt.Println(version)
		return err
	}
	return serve.Mounts(meta, Factory, loginPath)
}
