package main

import (
	"context"
	"errors"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/front"
	"vault-plugin-auth-kubernetes/bench/internal/proc"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// relistTimeout is far above what a list of any cluster takes that the bench makes.
const relistTimeout = 5 * time.Minute

// following is what a process holds that follows a large cluster, and what it takes to list
// all of it anew while what was known is held.
func (r *run) following(ctx context.Context, results *report.Report) (err error) {
	section := &report.Following{Stamp: r.begin(), Pods: r.followedPods, Accounts: r.followedNames}
	pods, err := r.rig.Pods(ctx, "followed", r.followedPods)
	if err != nil {
		return err
	}
	if err := r.rig.ServiceAccounts(ctx, r.followedNames); err != nil {
		return err
	}
	host, caPEM := r.rig.APIServer()
	between, err := front.Start(ctx, host, caPEM)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, between.Stop()) }()
	err = r.withVault(ctx, "following", func(vault *rig.Vault) error {
		return r.follow(ctx, vault, between, pods[0], section)
	})
	if err == nil {
		results.Following = section
	}
	return err
}

// follow has one mount follow the cluster behind a front.
func (r *run) follow(ctx context.Context, vault *rig.Vault, between *front.Front, pod rig.Pod, section *report.Following) error {
	const mount = "plugin"
	bodies, err := r.freshBodies(ctx, []rig.Pod{pod}, 1)
	if err != nil {
		return err
	}
	config := func(way string) map[string]any {
		return map[string]any{"kubernetes_host": between.URL, "kubernetes_ca_cert": between.CAPEM, "verification": way}
	}
	if err := vault.NewMount(ctx, mount, rig.Plugin, "app", r.tokenType, config("review")); err != nil {
		return err
	}
	if err := r.ready(ctx, vault, mount, bodies[0], false); err != nil {
		return err
	}
	if section.Idle, err = footprint(ctx, vault); err != nil {
		return err
	}
	section.After, err = footprintAfter(ctx, vault, func() error {
		if err := vault.Configure(ctx, mount, config("live")); err != nil {
			return err
		}
		return r.ready(ctx, vault, mount, bodies[0], true)
	})
	if err != nil {
		return err
	}
	relisted, err := footprintAfter(ctx, vault, func() error {
		ctx, cancel := context.WithTimeout(ctx, relistTimeout)
		defer cancel()
		return between.Relist(ctx, "pods", "serviceaccounts")
	})
	section.Relisted = &relisted
	return err
}

// footprintAfter is that of the plugin's process once it did something. What was resident at
// most is of that alone.
func footprintAfter(ctx context.Context, vault *rig.Vault, do func() error) (proc.Footprint, error) {
	pid, err := vault.PluginPID()
	if err != nil {
		return proc.Footprint{}, err
	}
	if err := proc.ResetPeak(pid); err != nil {
		return proc.Footprint{}, err
	}
	if err := do(); err != nil {
		return proc.Footprint{}, err
	}
	return footprint(ctx, vault)
}
