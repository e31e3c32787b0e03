package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vault-plugin-auth-kubernetes/bench/internal/proc"
	"vault-plugin-auth-kubernetes/test/testbed"
)

// Method is an auth method that can be mounted.
type Method string

// The two methods that are compared.
const (
	BuiltIn Method = "built-in" // Vault's own, in Vault's process
	Plugin  Method = "plugin"   // this one, in a process of its own
)

// tokenTTL is longer than any run, so that no lease ends while something is measured.
const tokenTTL = "4h"

// Vault is a fresh Vault in which the plugin is registered.
type Vault struct {
	*testbed.Vault
	API *api.Client

	rig     *Rig
	dir     string
	binary  string // the plugin, in this Vault's directory
	builtin string // the version of Vault's own method
}

// NewVault starts a Vault that has nothing mounted. name is that of its directory.
func (r *Rig) NewVault(ctx context.Context, name string) (*Vault, error) {
	return r.newVault(ctx, name, r.options.Vault)
}

// NewRaftVault is NewVault with integrated storage, kept in a folder that there is.
func (r *Rig) NewRaftVault(ctx context.Context, name, storage string) (*Vault, error) {
	options := r.options.Vault
	options.Raft = storage
	return r.newVault(ctx, name, options)
}

func (r *Rig) newVault(ctx context.Context, name string, options testbed.VaultOptions) (_ *Vault, err error) {
	dir := filepath.Join(r.bed.Dir, "vault-"+name)
	server, err := testbed.StartVault(ctx, r.bed.Tools, dir, options)
	if err != nil {
		return nil, err
	}
	v := &Vault{Vault: server, rig: r, dir: dir, binary: filepath.Join(server.PluginDir, testbed.PluginName)}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Stop())
		}
	}()
	if err := os.Link(r.bed.PluginBinary, v.binary); err != nil {
		return nil, err
	}
	if v.API, err = server.Client(); err != nil {
		return nil, err
	}
	if err := r.bed.RegisterPlugin(ctx, v.API); err != nil {
		return nil, err
	}
	v.builtin, err = v.builtinVersion(ctx)
	return v, err
}

// Stop ends the Vault and removes what it stored, which is a few files for each
// login that got a service token.
func (v *Vault) Stop() error { return errors.Join(v.Vault.Stop(), os.RemoveAll(v.dir)) }

// Goroutines is how many goroutines the plugin's process has, as a mount tells.
func (v *Vault) Goroutines(ctx context.Context, mount string) (int64, error) {
	value, ok, err := v.gauge(ctx, mount, "go_goroutines")
	if err == nil && !ok {
		err = errors.New("the mount has no metric go_goroutines")
	}
	return int64(value), err
}

// Follows tells whether a mount with verification=live knows its cluster.
func (v *Vault) Follows(ctx context.Context, mount string) (bool, error) {
	_, ok, err := v.gauge(ctx, mount, "vault_kubernetes_auth_live_age_seconds")
	return ok, err
}

// gauge is what a mount tells under a name; false if it does not.
func (v *Vault) gauge(ctx context.Context, mount, name string) (value float64, ok bool, err error) {
	response, err := v.API.Logical().ReadRawWithContext(ctx, "auth/"+mount+"/metrics")
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return 0, false, err
	}
	for _, metric := range families[name].GetMetric() {
		return metric.GetGauge().GetValue(), true, nil
	}
	return 0, false, nil
}

// builtinVersion is the version under which Vault lists its own method. Without it
// Vault could take a plugin of the same name.
func (v *Vault) builtinVersion(ctx context.Context) (string, error) {
	list, err := v.API.Sys().ListPluginsWithContext(ctx, &api.ListPluginsInput{Type: api.PluginTypeCredential})
	if err != nil {
		return "", err
	}
	for _, plugin := range list.Details {
		if plugin.Name == "kubernetes" && plugin.Builtin {
			return plugin.Version, nil
		}
	}
	return "", errors.New("this Vault has no auth method kubernetes of its own")
}

// Versions names Vault and its own method.
func (v *Vault) Versions(ctx context.Context) (vault, method string, err error) {
	status, err := v.API.Sys().SealStatusWithContext(ctx)
	if err != nil {
		return "", "", err
	}
	return status.Version, v.builtin, nil
}

// Mount mounts a method and does not configure it.
func (v *Vault) Mount(ctx context.Context, path string, method Method) error {
	options := &api.EnableAuthOptions{Type: "kubernetes", Config: api.AuthConfigInput{PluginVersion: v.builtin}}
	if method == Plugin {
		options = &api.EnableAuthOptions{
			Type: testbed.PluginName, Config: api.AuthConfigInput{PluginVersion: v.rig.bed.PluginVersion},
		}
	}
	if err := v.API.Sys().EnableAuthWithOptionsWithContext(ctx, path, options); err != nil {
		return fmt.Errorf("cannot mount the %s method: %w", method, err)
	}
	return nil
}

// Configure points a mount at the cluster. Both methods get the same settings; extra
// is for those that only the plugin has.
func (v *Vault) Configure(ctx context.Context, path string, extra map[string]any) error {
	config := map[string]any{
		"kubernetes_host":      v.rig.bed.Cluster.Host,
		"kubernetes_ca_cert":   v.rig.bed.Cluster.CAPEM,
		"token_reviewer_jwt":   v.rig.reviewer,
		"disable_local_ca_jwt": true,
	}
	for field, value := range extra {
		config[field] = value
	}
	return v.write(ctx, "auth/"+path+"/config", config)
}

// Role writes a role for all service accounts of the bench. tokenType is service or
// batch.
func (v *Vault) Role(ctx context.Context, path, name, tokenType string) error {
	return v.write(ctx, "auth/"+path+"/role/"+name, RoleFields(tokenType))
}

// RoleFields are those of any role of the bench.
func RoleFields(tokenType string) map[string]any {
	return map[string]any{
		"bound_service_account_names":      "*",
		"bound_service_account_namespaces": namespace,
		"audience":                         audience,
		"token_policies":                   "bench",
		"token_ttl":                        tokenTTL,
		"token_type":                       tokenType,
	}
}

// Roles writes many roles.
func (v *Vault) Roles(ctx context.Context, path string, names []string, tokenType string) error {
	return inParallel(ctx, len(names), func(ctx context.Context, i int) error {
		return v.Role(ctx, path, names[i], tokenType)
	})
}

// NewMount mounts a method, configures it and writes one role.
func (v *Vault) NewMount(ctx context.Context, path string, method Method, role, tokenType string, extra map[string]any) error {
	if err := v.Mount(ctx, path, method); err != nil {
		return err
	}
	if err := v.Configure(ctx, path, extra); err != nil {
		return err
	}
	return v.Role(ctx, path, role, tokenType)
}

// Unmount takes a mount away.
func (v *Vault) Unmount(ctx context.Context, path string) error {
	return v.API.Sys().DisableAuthWithContext(ctx, path)
}

// Reload restarts the plugin, for all mounts.
func (v *Vault) Reload(ctx context.Context) error {
	return v.write(ctx, "sys/plugins/reload/backend", map[string]any{"plugin": testbed.PluginName})
}

// ReadConfig reads the configuration of a mount, which its plugin has to answer.
func (v *Vault) ReadConfig(ctx context.Context, path string) error {
	secret, err := v.API.Logical().ReadWithContext(ctx, "auth/"+path+"/config")
	if err == nil && (secret == nil || secret.Data["kubernetes_host"] == nil) {
		err = fmt.Errorf("auth/%s has no configuration", path)
	}
	return err
}

func (v *Vault) write(ctx context.Context, path string, data map[string]any) error {
	_, err := v.API.Logical().WriteWithContext(ctx, path, data)
	return err
}

// PluginPIDs are the processes of the plugin that this Vault runs.
func (v *Vault) PluginPIDs() ([]int, error) { return proc.Children(v.PID, v.binary) }

// PluginPID is the process of the plugin, of which there has to be one.
func (v *Vault) PluginPID() (int, error) {
	pids, err := v.PluginPIDs()
	if err != nil {
		return 0, err
	}
	if len(pids) != 1 {
		return 0, fmt.Errorf("want one process of the plugin, found %d", len(pids))
	}
	return pids[0], nil
}

// AwaitOtherPlugin waits until one process of the plugin runs and it is none of old.
func (v *Vault) AwaitOtherPlugin(ctx context.Context, old []int) error {
	return await(ctx, "the old process of the plugin to end", func() (bool, error) {
		pids, err := v.PluginPIDs()
		return len(pids) == 1 && !slices.Contains(old, pids[0]), err
	})
}

// AwaitNoPlugin waits until no process of the plugin runs.
func (v *Vault) AwaitNoPlugin(ctx context.Context) error {
	return await(ctx, "the plugin to end", func() (bool, error) {
		pids, err := v.PluginPIDs()
		return len(pids) == 0, err
	})
}

func await(ctx context.Context, what string, reached func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := reached()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
