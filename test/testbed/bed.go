package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// PluginName is the file name of the plugin's binary, and the name under which
// the demo registers it in Vault's plugin catalog.
const PluginName = "vault-plugin-auth-kubernetes"

// Options says what [Start] brings up. The zero value is the whole bed.
type Options struct {
	// Progress receives one line for each step that takes long. Default: none.
	Progress io.Writer

	// Plugin says how the plugin is built.
	Plugin PluginOptions

	// WithoutPlugin leaves the plugin directory empty and builds nothing from
	// the repository's root.
	WithoutPlugin bool

	// KeepState leaves the state directory, logs included, behind on Stop.
	KeepState bool

	Cluster ClusterOptions
	Vault   VaultOptions
}

// Bed is a running cluster and a running Vault.
type Bed struct {
	Tools   Tools
	Cluster *Cluster
	Vault   *Vault

	// Dir holds all state and logs. Stop removes it, unless Options.KeepState.
	Dir string

	// PluginBinary is the plugin in Vault's plugin directory, PluginSHA256 its
	// checksum in hex. With Options.WithoutPlugin all three are empty.
	PluginBinary string
	PluginSHA256 string

	// PluginVersion is the version to register the plugin under, with a leading
	// v as Vault wants it.
	PluginVersion string

	opts     Options
	binDir   string
	guard    *guard
	stopOnce sync.Once
	stopErr  error
}

// Start finds or builds the programs, builds the plugin, and starts a cluster
// and a Vault, which is initialised and unsealed but in which nothing is
// registered or mounted. It takes about ten seconds once the programs are
// there. ctx bounds the start only: a started bed runs until Stop.
//
// If a part fails to start, the others are stopped, and the error ends with the
// last lines of that part's log.
func Start(ctx context.Context, opts Options) (_ *Bed, err error) {
	if opts.Progress == nil {
		opts.Progress = io.Discard
	}
	tools, err := FindTools(ctx, opts.Progress)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "vault-kubernetes-testbed-")
	if err != nil {
		return nil, err
	}
	b := &Bed{Tools: tools, Dir: dir, opts: opts, binDir: filepath.Join(dir, "bin")}
	if err := b.startGuard(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Stop())
		}
	}()
	if err := b.linkTools(); err != nil {
		return nil, err
	}
	if err := b.installPlugin(ctx); err != nil {
		return nil, err
	}
	fmt.Fprintf(opts.Progress, "starting etcd, kube-apiserver and vault in %s (usually 10 seconds)\n", dir)
	if err := b.startServers(ctx); err != nil {
		return nil, err
	}
	fmt.Fprintf(opts.Progress, "kube-apiserver is at %s, vault at %s\n", b.Cluster.Host, b.Vault.Addr)
	return b, nil
}

// startGuard sees to it that the state goes even if this process is killed: it
// is large, and holds credentials.
func (b *Bed) startGuard() (err error) {
	state := b.Dir
	if b.opts.KeepState {
		state = ""
	}
	b.guard, err = newRemovingGuard(filepath.Join(b.Dir, "run"), state)
	return err
}

// linkTools fills a directory for PATH. The programs' own directories will not
// do: cached builds carry a version and a checksum in their names.
func (b *Bed) linkTools() error {
	if err := os.Mkdir(b.binDir, 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.Symlink(b.Tools.Vault, filepath.Join(b.binDir, "vault")),
		os.Symlink(b.Tools.Kubectl, filepath.Join(b.binDir, "kubectl")),
	)
}

func (b *Bed) installPlugin(ctx context.Context) (err error) {
	if b.opts.WithoutPlugin {
		return nil
	}
	fmt.Fprintf(b.opts.Progress, "building the plugin (usually seconds, once 1 to 2 minutes)\n")
	b.PluginBinary, err = BuildPlugin(ctx, filepath.Join(b.vaultDir(), pluginDirName), b.opts.Plugin)
	if err != nil {
		return err
	}
	if b.PluginVersion, err = pluginVersion(ctx, b.PluginBinary); err != nil {
		return err
	}
	b.PluginSHA256, err = SHA256(b.PluginBinary)
	return err
}

func (b *Bed) vaultDir() string { return filepath.Join(b.Dir, "vault") }

func (b *Bed) startServers(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		b.Cluster, err = StartCluster(ctx, b.Tools, filepath.Join(b.Dir, "cluster"), b.opts.Cluster)
		return err
	})
	g.Go(func() (err error) {
		b.Vault, err = StartVault(ctx, b.Tools, b.vaultDir(), b.vaultOptions())
		return err
	})
	return g.Wait()
}

func (b *Bed) vaultOptions() VaultOptions {
	opts := b.opts.Vault
	opts.Env = append(b.raceEnv(), opts.Env...)
	return opts
}

// StartVaultApart starts another Vault with the plugin in its catalog, which the caller
// stops. It is for what reloads, kills, registers or takes away a plugin or a mount: all
// mounts of a Vault share one process of the plugin, and Vault may end that process, with
// whatever is under way in it, for the sake of one of them. change says how it is to
// differ from the bed's own.
func (b *Bed) StartVaultApart(ctx context.Context, change ...func(*VaultOptions)) (_ *Vault, err error) {
	dir, err := os.MkdirTemp(b.Dir, "vault-apart-")
	if err != nil {
		return nil, err
	}
	if err := b.installInto(filepath.Join(dir, pluginDirName)); err != nil {
		return nil, err
	}
	opts := b.vaultOptions()
	for _, change := range change {
		change(&opts)
	}
	v, err := StartVault(ctx, b.Tools, dir, opts)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Stop())
		}
	}()
	client, err := v.Client()
	if err != nil {
		return nil, err
	}
	return v, b.RegisterPlugin(ctx, client)
}

// Env returns what a command needs to use the bed with the vault and kubectl
// command lines, as KEY=value. PATH starts with a directory that holds the two.
// The PLUGIN_ variables are unset with Options.WithoutPlugin.
func (b *Bed) Env() []string { return b.EnvFor(b.Vault) }

// EnvFor is Env with another Vault in place of the bed's own.
func (b *Bed) EnvFor(vault *Vault) []string {
	env := []string{
		"PATH=" + b.binDir + string(os.PathListSeparator) + os.Getenv("PATH"),
		"TESTBED_DIR=" + b.Dir,
		"VAULT_ADDR=" + vault.Addr,
		"VAULT_TOKEN=" + vault.RootToken,
		"KUBECONFIG=" + b.Cluster.KubeconfigPath,
		"KUBECACHEDIR=" + filepath.Join(b.Dir, "kubectl-cache"),
		"KUBERNETES_HOST=" + b.Cluster.Host,
		"KUBERNETES_CA_FILE=" + b.Cluster.CAPath,
	}
	if b.PluginBinary == "" {
		return env
	}
	return append(env,
		"PLUGIN_NAME="+PluginName,
		"PLUGIN_BINARY="+b.PluginBinary,
		"PLUGIN_SHA256="+b.PluginSHA256,
		"PLUGIN_VERSION="+b.PluginVersion,
	)
}

// Stop ends every process of the bed and removes its directory. Calling it
// again does nothing and returns the same error.
func (b *Bed) Stop() error {
	b.stopOnce.Do(func() {
		var errs []error
		// Vault first: its plugins may be talking to the API server.
		if b.Vault != nil {
			errs = append(errs, b.Vault.Stop())
		}
		if b.Cluster != nil {
			errs = append(errs, b.Cluster.Stop())
		}
		errs = append(errs, b.guard.close())
		if b.opts.KeepState {
			fmt.Fprintf(b.opts.Progress, "state and logs are kept in %s\n", b.Dir)
		}
		b.stopErr = errors.Join(errs...)
	})
	return b.stopErr
}
