package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/proc"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// footprint looks at the plugin's process once it has settled.
func footprint(ctx context.Context, vault *rig.Vault) (proc.Footprint, error) {
	if err := pause(ctx); err != nil {
		return proc.Footprint{}, err
	}
	pid, err := vault.PluginPID()
	if err != nil {
		return proc.Footprint{}, err
	}
	return proc.Look(pid)
}

// drive logs in a number of times at a mount.
func (r *run) drive(ctx context.Context, vault *rig.Vault, mount, role string, logins int64) error {
	callers, err := r.logins(manyClients, vault, mount, role)
	if err != nil {
		return err
	}
	defer load.Close(callers)
	_, err = load.Run(ctx, callers, load.Plan{Calls: logins})
	return err
}

// memory is what a fresh process holds, and what it holds after logins.
func (r *run) memory(ctx context.Context, results *report.Report) error {
	section := &report.Memory{Stamp: r.begin(), Clients: manyClients, Logins: r.memoryLogins}
	err := r.withVault(ctx, "memory", func(vault *rig.Vault) error {
		if err := vault.NewMount(ctx, "plugin", rig.Plugin, "app", r.tokenType, nil); err != nil {
			return err
		}
		var err error
		if section.Idle, err = footprint(ctx, vault); err != nil {
			return err
		}
		if err := r.drive(ctx, vault, "plugin", "app", r.memoryLogins); err != nil {
			return err
		}
		section.After, err = footprint(ctx, vault)
		return err
	})
	if err != nil {
		return err
	}
	info, err := os.Stat(r.rig.PluginBinary())
	if err != nil {
		return err
	}
	section.Binary = info.Size()
	results.Memory = section
	return nil
}

// endurance makes many logins in one run and looks at the process all along. The
// tokens are batch tokens: Vault keeps nothing of them, so that neither its leases
// nor its storage grow and slow the run down. What the plugin does is the same.
func (r *run) endurance(ctx context.Context, results *report.Report) error {
	const tokenType = "batch"
	section := &report.Endurance{Stamp: r.begin(), Clients: manyClients, TokenType: tokenType, Baseline: r.baselineLogins}
	err := r.withVault(ctx, "endurance", func(vault *rig.Vault) error {
		if err := vault.NewMount(ctx, "plugin", rig.Plugin, "app", tokenType, nil); err != nil {
			return err
		}
		callers, err := r.logins(manyClients, vault, "plugin", "app")
		if err != nil {
			return err
		}
		defer load.Close(callers)
		pid, err := vault.PluginPID()
		if err != nil {
			return err
		}
		var done atomic.Int64
		samples := sample(pid, r.sampleEvery, &done, func() (int64, error) { return vault.Goroutines(ctx, "plugin") })
		section.Result, err = load.Run(ctx, callers, load.Plan{Calls: r.enduranceLogins, Done: &done})
		section.Samples = samples()
		return err
	})
	if err != nil {
		return err
	}
	if len(section.Samples) == 0 {
		return fmt.Errorf("no sample was taken of the plugin's process")
	}
	results.Endurance = section
	return nil
}

// sample looks at a process again and again until the function that it returns is
// called.
func sample(pid int, every time.Duration, done *atomic.Int64, goroutines func() (int64, error)) (stop func() []report.Sample) {
	var samples []report.Sample
	look := func() {
		logins := done.Load()
		// A process that is gone fails the logins, and they say why.
		state, err1 := proc.Look(pid)
		number, err2 := goroutines()
		if err1 == nil && err2 == nil {
			samples = append(samples, report.Sample{Logins: logins, State: state, Goroutines: number})
		}
	}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-stopping:
				look()
				return
			}
		}
	}()
	return func() []report.Sample {
		close(stopping)
		<-stopped
		return samples
	}
}
