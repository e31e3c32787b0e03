package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"vault-plugin-auth-kubernetes/bench/internal/floor"
	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// subject is something that can be driven.
type subject struct {
	name   report.Subject
	client int // the process that asks
	run    func(ctx context.Context, clients int, plan load.Plan) (load.Result, error)
}

// throughput drives both methods and the bare review.
func (r *run) throughput(ctx context.Context, results *report.Report) error {
	section := &report.Throughput{Stamp: r.begin(), TokenType: r.tokenType}
	err := r.withVault(ctx, "throughput", func(vault *rig.Vault) error {
		methods, done, err := r.bothMethods(ctx, vault, nil)
		if err != nil {
			return err
		}
		defer done()
		program, err := os.Executable()
		if err != nil {
			return err
		}
		bare, err := floor.Start(ctx, program, r.rig.Floor())
		if err != nil {
			return err
		}
		defer bare.Stop()
		floors := r.paced(methods, bare)
		section.Rounds, err = r.interleave(ctx, vault, append(methods, floors...), r.clients)
		return err
	})
	if err == nil {
		results.Throughput = section
	}
	return err
}

// paced returns the bare review twice: as fast as it goes, and at the rate that the
// plugin last reached, which it notes from now on. At a higher rate more requests
// share a system call, so only at the same one are a request's costs alike.
func (r *run) paced(methods []subject, bare *floor.Process) []subject {
	rates := map[int]float64{} // by the number of clients
	for i := range methods {
		drive := methods[i].run
		if methods[i].name != report.Plugin {
			continue
		}
		methods[i].run = func(ctx context.Context, clients int, plan load.Plan) (load.Result, error) {
			result, err := drive(ctx, clients, plan)
			if err == nil {
				rates[clients] = result.PerSecond()
			}
			return result, err
		}
	}
	return []subject{
		{name: report.Floor, client: bare.PID, run: bare.Run},
		{name: report.PacedFloor, client: bare.PID, run: func(ctx context.Context, clients int, plan load.Plan) (load.Result, error) {
			plan.Rate = rates[clients]
			return bare.Run(ctx, clients, plan)
		}},
	}
}

// bothMethods mounts both methods alike and returns clients for them. extra is
// further configuration of the plugin's mount.
func (r *run) bothMethods(ctx context.Context, vault *rig.Vault, extra map[string]any) (_ []subject, done func(), err error) {
	if err := vault.NewMount(ctx, "builtin", rig.BuiltIn, "app", r.tokenType, nil); err != nil {
		return nil, nil, err
	}
	if err := vault.NewMount(ctx, "plugin", rig.Plugin, "app", r.tokenType, extra); err != nil {
		return nil, nil, err
	}
	var all []load.Caller
	driven := func(name report.Subject, mount string) (subject, error) {
		callers, err := r.logins(slices.Max(r.clients), vault, mount, "app")
		all = append(all, callers...)
		return subject{name: name, client: os.Getpid(), run: func(ctx context.Context, clients int, plan load.Plan) (load.Result, error) {
			return load.Run(ctx, callers[:clients], plan)
		}}, err
	}
	builtIn, err := driven(report.BuiltIn, "builtin")
	if err != nil {
		return nil, nil, err
	}
	plugin, err := driven(report.Plugin, "plugin")
	if err != nil {
		return nil, nil, err
	}
	return []subject{builtIn, plugin}, func() { load.Close(all) }, nil
}

// interleave warms the subjects up and drives them in turn, in another order each
// round: what changes on the machine in the course of minutes meets all of them.
func (r *run) interleave(ctx context.Context, vault *rig.Vault, subjects []subject, clients []int) ([]report.Round, error) {
	for _, n := range clients {
		for _, s := range subjects {
			if _, err := s.run(ctx, n, load.Plan{Duration: r.warmUp}); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	processes, err := r.processes(vault)
	if err != nil {
		return nil, err
	}
	var rounds []report.Round
	for number := range r.rounds {
		for _, n := range clients {
			for _, s := range inTurn(number, subjects) {
				round, err := r.oneRound(ctx, processes, s, n)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.name, err)
				}
				round.Round = number
				fmt.Fprintln(r.progress, shortRound(round))
				rounds = append(rounds, round)
			}
		}
	}
	return rounds, nil
}

// inTurn returns list in another order for each number: moved on by one for every
// second number, and in reverse for the others.
func inTurn[T any](number int, list []T) []T {
	first := number / 2 % len(list)
	order := slices.Concat(list[first:], list[:first])
	if number%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

func (r *run) oneRound(ctx context.Context, processes map[string]int, s subject, clients int) (report.Round, error) {
	if err := pause(ctx); err != nil {
		return report.Round{}, err
	}
	pids := maps.Clone(processes)
	pids[report.Client] = s.client
	result, cpu, err := metered(pids, func() (load.Result, error) {
		return s.run(ctx, clients, load.Plan{Duration: r.duration})
	})
	return report.Round{Subject: s.name, Clients: clients, Result: result, CPU: cpu}, err
}
