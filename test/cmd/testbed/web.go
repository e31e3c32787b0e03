package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/hashicorp/vault/api"

	"vault-plugin-auth-kubernetes/test/testbed"
	"vault-plugin-auth-kubernetes/test/testbed/webpage"
)

// serveWeb serves the page until a signal arrives, for a Vault that is not this
// program's. It heeds VAULT_ADDR, VAULT_CACERT and the like, and no token.
func serveWeb(signals <-chan os.Signal, args []string) (status int, err error) {
	flags := flag.NewFlagSet("web", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "loopback address and port to serve the page at")
	if err := flags.Parse(args); err != nil {
		return 2, nil // the flag package has said what is wrong
	}
	if flags.NArg() > 0 {
		return 2, errUsage
	}
	config := api.DefaultConfig() // reads the environment
	if config.Error != nil {
		return 1, config.Error
	}
	transport, _ := config.HttpClient.Transport.(*http.Transport)
	page, err := startPage(webpage.Options{VaultAddr: config.Address, Transport: transport, Listen: *listen})
	if err != nil {
		return 1, err
	}
	fmt.Printf("The page for the Vault at %s is at %s\nCtrl-C stops it.\n", config.Address, page.URL)
	<-signals
	return 0, page.Close()
}

// startPage serves the page of this checkout.
func startPage(opts webpage.Options) (*webpage.Server, error) {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		return nil, err
	}
	opts.Dir = filepath.Join(root, "web")
	return webpage.Start(opts)
}
