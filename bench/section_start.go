package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"

	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// start is how long it takes until the plugin answers.
func (r *run) start(ctx context.Context, results *report.Report) error {
	section := &report.Start{Stamp: r.begin()}
	for range r.starts {
		took, err := handshake(r.rig.PluginBinary())
		if err != nil {
			return err
		}
		section.Handshake = append(section.Handshake, took)
	}
	err := r.withVault(ctx, "start", func(vault *rig.Vault) error {
		for range r.starts {
			if err := startOnce(ctx, vault, section); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		results.Start = section
	}
	return err
}

// vaultHandshake is how a plugin knows that it was started by Vault, and not by a user
// by mistake; see HandshakeConfig in package plugin of Vault's sdk.
var vaultHandshake = goplugin.HandshakeConfig{
	MagicCookieKey:   "VAULT_BACKEND_PLUGIN",
	MagicCookieValue: "6669da05-b1c8-4f49-97d9-c8e5bed98e20",
}

// handshake starts the plugin as Vault does, and ends it once it listens.
func handshake(program string) (time.Duration, error) {
	cmd := exec.Command(program) //nolint:noctx // Kill ends it, and what it waits for has a deadline
	cmd.Env = append(os.Environ(), "VAULT_PLUGIN_AUTOMTLS_ENABLED=true")
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  vaultHandshake,
		VersionedPlugins: map[int]goplugin.PluginSet{5: {}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		Cmd:              cmd,
		StartTimeout:     time.Minute,
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       io.Discard,
		SyncStderr:       io.Discard,
	})
	defer client.Kill()
	began := time.Now()
	if _, err := client.Start(); err != nil {
		return 0, fmt.Errorf("the plugin does not start: %w", err)
	}
	return time.Since(began), nil
}

// startOnce begins and ends with no process of the plugin.
func startOnce(ctx context.Context, vault *rig.Vault, section *report.Start) error {
	timed := func(times *[]time.Duration, do func() error) error {
		if err := pause(ctx); err != nil {
			return err
		}
		began := time.Now()
		err := do()
		*times = append(*times, time.Since(began))
		return err
	}
	mount := func(path string, method rig.Method) func() error {
		return func() error { return vault.Mount(ctx, path, method) }
	}
	if err := timed(&section.FirstMount, mount("first", rig.Plugin)); err != nil {
		return err
	}
	if err := timed(&section.FurtherMount, mount("further", rig.Plugin)); err != nil {
		return err
	}
	if err := timed(&section.BuiltInMount, mount("builtin", rig.BuiltIn)); err != nil {
		return err
	}
	if err := vault.Configure(ctx, "first", nil); err != nil {
		return err
	}
	old, err := vault.PluginPIDs()
	if err != nil {
		return err
	}
	err = timed(&section.Reload, func() error {
		if err := vault.Reload(ctx); err != nil {
			return err
		}
		return vault.ReadConfig(ctx, "first")
	})
	if err != nil {
		return err
	}
	// That it was another process that answered is part of what is measured.
	if err := vault.AwaitOtherPlugin(ctx, old); err != nil {
		return err
	}
	for _, path := range []string{"first", "further", "builtin"} {
		if err := vault.Unmount(ctx, path); err != nil {
			return err
		}
	}
	return vault.AwaitNoPlugin(ctx)
}
