// Command main is the plugin with a clock that a test sets. It takes the place of main.go of
// the repository's root where the test bed builds such a plugin (go build -overlay); the plugin
// as it is released has no way to be told the time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/serve"
)

var version = "v0.1.0"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	meta := &api.PluginAPIClientMeta{}
	flags := meta.FlagSet()
	showVersion := flags.Bool("version", false, "print the version to register the plugin with, and exit")
	if err := flags.Parse(args); err != nil && !errors.Is(err, flag.ErrHelp) {
		return err
	}
	if *showVersion {
		_, err := fmt.Println(version)
		return err
	}
	return serve.Mounts(meta, withClock, loginPath)
}

// withClock makes a mount whose clock stands where a write of `clock` set it, until the next
// one. Each such write has the mount do what Vault has it do about once a minute.
func withClock(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := newBackend()
	var set atomic.Int64
	b.now = func() time.Time {
		if at := set.Load(); at != 0 {
			return time.Unix(at, 0)
		}
		return time.Now()
	}
	b.Paths = append(b.Paths, &framework.Path{
		Pattern: "clock",
		Fields:  map[string]*framework.FieldSchema{"now": {Type: framework.TypeInt64}},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
					set.Store(data.Get("now").(int64))
					return nil, b.periodic(ctx, req)
				},
			},
		},
	})
	if err := b.Setup(ctx, conf); err != nil {
		return nil, err
	}
	return b, nil
}
