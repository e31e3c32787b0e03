package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// changeWriters is how many change pods at a time, which is enough for any rate that the
// API server reaches.
const changeWriters = 16

// watching is what it costs a cluster that somebody follows, while its pods change and
// nobody logs in.
func (r *run) watching(ctx context.Context, results *report.Report) error {
	section := &report.Watching{Stamp: r.begin(), Pods: r.changedPods, Writers: changeWriters}
	pods, err := r.rig.Pods(ctx, "changed", r.changedPods)
	if err != nil {
		return err
	}
	bodies, err := r.freshBodies(ctx, pods[:1], 1)
	if err != nil {
		return err
	}
	err = r.withVault(ctx, "watching", func(vault *rig.Vault) error {
		w := &watched{run: r, vault: vault, body: bodies[0], writers: r.rig.Changers(changeWriters, pods)}
		if _, err := w.change(ctx, slices.Max(r.changes), r.warmUp); err != nil {
			return err
		}
		for number := range r.rounds {
			rounds, err := w.rounds(ctx, number)
			if err != nil {
				return err
			}
			section.Rounds = append(section.Rounds, rounds...)
		}
		return nil
	})
	if err == nil {
		results.Watching = section
	}
	return err
}

// watched is a cluster whose pods change.
type watched struct {
	*run
	vault   *rig.Vault
	body    []byte // of a login, with which following begins
	writers []load.Caller
}

// rounds are one of each rate, with and without somebody who follows.
func (w *watched) rounds(ctx context.Context, number int) ([]report.WatchingRound, error) {
	var rounds []report.WatchingRound
	for _, rate := range inTurn(number, w.changes) {
		for _, subject := range inTurn(number, []report.Subject{report.Nobody, report.PluginLive}) {
			round, err := w.round(ctx, rate, subject)
			if err != nil {
				return nil, fmt.Errorf("%d changes a second, %s: %w", rate, subject, err)
			}
			round.Round = number
			fmt.Fprintf(w.progress, "  round %d, %3d changes/s, %-17s reached %5.1f, kube-apiserver %6.1f ms/s\n",
				number+1, rate, subject, round.Reached, round.CPU[report.APIServer])
			rounds = append(rounds, round)
		}
	}
	return rounds, nil
}

// round begins and ends with no process of the plugin, so that what nobody follows is
// nothing that somebody just went on with.
func (w *watched) round(ctx context.Context, rate int, subject report.Subject) (round report.WatchingRound, err error) {
	pids, err := w.clusterProcesses()
	if err != nil {
		return round, err
	}
	if subject == report.PluginLive {
		const mount = "plugin"
		if err := w.mountWay(ctx, w.vault, mount, rig.Plugin, "live", w.body); err != nil {
			return round, err
		}
		if pids[report.PluginProcess], err = w.vault.PluginPID(); err != nil {
			return round, err
		}
		defer func() {
			if err == nil {
				err = w.vault.Unmount(ctx, mount)
			}
			if err == nil {
				err = w.vault.AwaitNoPlugin(ctx)
			}
		}()
	}
	if err := pause(ctx); err != nil {
		return round, err
	}
	round.Rate, round.Subject = rate, subject
	var changes int64
	took, spent, err := spending(pids, func() (err error) {
		changes, err = w.change(ctx, rate, w.changesFor)
		return err
	})
	if err != nil {
		return round, err
	}
	round.Reached, round.CPU = float64(changes)/took.Seconds(), map[string]float64{}
	for name, used := range spent {
		round.CPU[name] = used.Seconds() * 1000 / took.Seconds()
	}
	return round, nil
}

// change has pods change at a rate for a while, and returns how often they did.
func (w *watched) change(ctx context.Context, rate int, while time.Duration) (int64, error) {
	if rate == 0 {
		select {
		case <-time.After(while):
			return 0, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	result, err := load.Run(ctx, w.writers, load.Plan{Rate: float64(rate), Duration: while})
	return result.Calls, err
}
