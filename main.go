// Command vault-plugin-auth-kubernetes is a Vault auth method that trades a
// Kubernetes service account token for a Vault token. Vault starts it; run by
// hand it can only tell its version.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
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
		tell(os.Stderr, err)
		os.Exit(1)
	}
}

// tell says why the plugin ends before Vault could talk to it. All that a person reads of
// that is Vault's log, where lines of a plugin are at the debug level unless they are JSON.
func tell(stderr io.Writer, err error) {
	hclog.New(&hclog.LoggerOptions{Output: stderr, JSONFormat: true}).Error("the plugin stops", "error", err)
}

func run(args []string) error {
	meta := &api.PluginAPIClientMeta{}
	flags := meta.FlagSet()
	showVersion := flags.Bool("version", false, "print the version to register the plugin with, and exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil // Parse has printed the usage
	} else if err != nil {
		return err
	}
	if *showVersion {
		_, err := fmt.Println(version)
		return err
	}
	return serve.Mounts(meta, Factory, loginPath)
}
