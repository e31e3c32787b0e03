package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/vault/api"
)

const pluginDirName = "plugins"

// VaultOptions configures [StartVault].
type VaultOptions struct {
	// LogLevel is Vault's log level. Default: debug.
	LogLevel string

	// Env are further variables for the server, and so for its plugins, as
	// KEY=value. They win over the caller's own environment, of which VAULT_*
	// is left out.
	Env []string

	// Config are further settings of the server, as in its configuration file. They
	// win over those of the test bed.
	Config map[string]any

	// Raft, if not empty, is a folder that the server keeps its integrated storage in, of
	// which it is the only node. Without it the server stores files in its own folder.
	Raft string

	// Descriptors, if not 0, is how many files and connections the server may have
	// open, and each of its plugins.
	Descriptors int
}

// Vault is a running, initialised and unsealed Vault server.
type Vault struct {
	Addr      string // http URL with a loopback address and no path
	RootToken string
	UnsealKey string // the only one
	PluginDir string
	LogPath   string
	PID       int // another one after Restart

	dir    string
	binary string
	env    []string
	guard  *guard
	server *process // nil if none was started
}

// StartVault starts a Vault server on a free loopback port without TLS, with
// its state, log and plugin directory in dir, which is created if it is
// missing, and initialises and unseals it. Plugins may be put into
// dir/plugins before or after. ctx bounds the start only. If the server fails
// to start, the error ends with the last lines of its log.
func StartVault(ctx context.Context, tools Tools, dir string, opts VaultOptions) (_ *Vault, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, pluginDirName), 0o755); err != nil {
		return nil, err
	}
	// Vault refuses a plugin whose path leads out of the directory by a symlink.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	v := &Vault{
		PluginDir: filepath.Join(dir, pluginDirName),
		LogPath:   filepath.Join(dir, "vault.log"),
		dir:       dir,
		binary:    tools.Vault,
		env:       vaultEnv(opts.Env),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Stop())
		}
	}()
	if opts.LogLevel == "" {
		opts.LogLevel = "debug"
	}
	if opts.Descriptors > 0 {
		if err := v.limit(opts.Descriptors); err != nil {
			return nil, err
		}
	}
	if err := v.startOnFreePort(ctx, opts); err != nil {
		return nil, err
	}
	if err := v.initialise(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// startOnFreePort tries other ports while the one that was free is taken by
// someone else before the server listens on it.
func (v *Vault) startOnFreePort(ctx context.Context, opts VaultOptions) error {
	for try := 1; ; try++ {
		if err := v.writeConfig(opts); err != nil {
			return err
		}
		err := v.start(ctx)
		if err == nil || try == startTries || !portTaken(err) {
			return err
		}
		if err := v.Stop(); err != nil {
			return err
		}
	}
}

// start starts the server and waits until it answers.
func (v *Vault) start(ctx context.Context) (err error) {
	if v.guard, err = newGuard(filepath.Join(v.dir, "run")); err != nil {
		return err
	}
	v.server, err = v.guard.start("vault", v.binary, v.LogPath, v.env, "server", "-config", v.configPath())
	if err != nil {
		return err
	}
	v.PID = v.server.pid
	client, err := v.Client()
	if err != nil {
		return err
	}
	err = v.server.await(ctx, func(ctx context.Context) error {
		_, err := client.Sys().SealStatusWithContext(ctx)
		return err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx) // no log tells more
	}
	if err != nil {
		return fmt.Errorf("cannot start vault: %w\n%s", err, logTail(v.LogPath))
	}
	return nil
}

func (v *Vault) initialise(ctx context.Context) error {
	client, err := v.Client()
	if err != nil {
		return err
	}
	keys, err := client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("cannot initialise vault: %w", err)
	}
	v.UnsealKey, v.RootToken = keys.KeysB64[0], keys.RootToken
	return v.unseal(ctx)
}

// unseal returns once the server takes requests, which is a moment after it
// has accepted the key.
func (v *Vault) unseal(ctx context.Context) error {
	client, err := v.Client()
	if err != nil {
		return err
	}
	if _, err := client.Sys().UnsealWithContext(ctx, v.UnsealKey); err != nil {
		return fmt.Errorf("cannot unseal vault: %w", err)
	}
	return poll(ctx, "vault to become active", func(ctx context.Context) error {
		_, err := client.Auth().Token().LookupSelfWithContext(ctx)
		return err
	})
}

// Client returns a client that uses the root token and heeds no VAULT_*
// variable of the environment.
func (v *Vault) Client() (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = v.Addr
	config.MaxRetries = 0 // a test wants to see the first answer
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.ClearNamespace()
	client.SetToken(v.RootToken)
	return client, nil
}

// Restart stops the server, starts it on the same address with the same state,
// and unseals it. It may follow a Stop.
func (v *Vault) Restart(ctx context.Context) error {
	if err := v.Stop(); err != nil {
		return err
	}
	if err := v.start(ctx); err != nil {
		return errors.Join(err, v.Stop())
	}
	return v.unseal(ctx)
}

// Stop ends the server and its plugins, at last by force, and leaves its files
// as they are. Stopping what is not running does nothing.
func (v *Vault) Stop() error {
	if v.guard == nil {
		return nil
	}
	if v.server != nil {
		v.server.stop()
	}
	// A plugin that the server has left behind is still in its group, which the
	// guard kills.
	err := v.guard.close()
	v.guard, v.server = nil, nil
	return err
}
