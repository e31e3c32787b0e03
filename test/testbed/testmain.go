package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/vault/api"
)

// RunTests is what TestMain of a package calls whose tests share a bed. It starts
// one, registers the plugin in its Vault under [PluginName], has prepare set up what
// else the package needs, runs the tests, and stops everything, also on Ctrl-C. It
// returns the status to exit with. stop may be nil; m is a *testing.M.
func RunTests(m interface{ Run() int }, opts Options, prepare func(context.Context, *Bed) (stop func() error, err error)) int {
	code, err := runTests(m, opts, prepare)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests on real processes:", err)
		return 1
	}
	return code
}

func runTests(m interface{ Run() int }, opts Options, prepare func(context.Context, *Bed) (func() error, error)) (code int, err error) {
	ctx, unnotify := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer unnotify()
	bed, err := Start(ctx, opts)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, bed.Races(), bed.Stop()) }()
	client, err := bed.Vault.Client()
	if err != nil {
		return 1, err
	}
	if err := bed.RegisterPlugin(ctx, client); err != nil {
		return 1, err
	}
	stop, err := prepare(ctx, bed)
	if stop != nil {
		defer func() { err = errors.Join(err, stop()) }()
	}
	if err != nil {
		return 1, err
	}
	done := make(chan int, 1)
	go func() { done <- m.Run() }()
	select {
	case code = <-done:
		return code, nil
	case <-ctx.Done():
		return 1, errors.New("interrupted")
	}
}

// RegisterPlugin puts the bed's plugin into the catalog of a Vault, the bed's own or
// one that has the same binary in its plugin directory.
func (b *Bed) RegisterPlugin(ctx context.Context, vault *api.Client) error {
	return vault.Sys().RegisterPluginWithContext(ctx, &api.RegisterPluginInput{
		Name:    PluginName,
		Type:    api.PluginTypeCredential,
		Command: PluginName,
		SHA256:  b.PluginSHA256,
		Version: b.PluginVersion,
	})
}
