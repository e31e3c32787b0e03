package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
)

// ways are how the subjects are mounted; their mounts are called as the settings are.
var ways = []struct {
	subject report.Subject
	method  rig.Method
	way     string
}{
	{report.BuiltIn, rig.BuiltIn, ""},
	{report.Plugin, rig.Plugin, "review"},
	{report.PluginKeys, rig.Plugin, "keys"},
	{report.PluginLive, rig.Plugin, "live"},
}

// podsOfFresh is for how many pods tokens are made that are sent in turn.
const podsOfFresh = 200

// verification drives all ways to verify with tokens that nobody has seen for as long as
// the API server remembers one.
func (r *run) verification(ctx context.Context, results *report.Report) error {
	section := &report.Verification{Stamp: r.begin(), TokenType: r.tokenType}
	pods, err := r.rig.Pods(ctx, "fresh", podsOfFresh)
	if err != nil {
		return err
	}
	bodies, err := r.freshBodies(ctx, pods, r.fresh)
	if err != nil {
		return err
	}
	err = r.withVault(ctx, "verification", func(vault *rig.Vault) error {
		var next atomic.Int64
		var subjects []subject
		for _, w := range ways {
			mount := "fresh" + w.way
			if err := r.mountWay(ctx, vault, mount, w.method, w.way, bodies[0]); err != nil {
				return err
			}
			callers := load.Fresh(slices.Max(r.clients), vault.Addr, mount, bodies, &next)
			defer load.Close(callers)
			subjects = append(subjects, subject{name: w.subject, client: os.Getpid(), run: func(ctx context.Context, clients int, plan load.Plan) (load.Result, error) {
				return load.Run(ctx, callers[:clients], plan)
			}})
		}
		var err error
		section.Rounds, err = r.interleave(ctx, vault, subjects, r.clients)
		return err
	})
	if err == nil {
		results.Verification = section
	}
	return err
}

// freshBodies are logins with new tokens of pods.
func (r *run) freshBodies(ctx context.Context, pods []rig.Pod, n int) ([][]byte, error) {
	tokens, err := r.rig.Fresh(ctx, pods, n)
	if err != nil {
		return nil, err
	}
	return load.LoginBodies([]string{"app"}, tokens)
}

// mountWay mounts a method that verifies in a way, logs in, and waits until it verifies so.
func (r *run) mountWay(ctx context.Context, vault *rig.Vault, mount string, method rig.Method, way string, body []byte) error {
	var extra map[string]any
	if way != "" {
		extra = map[string]any{"verification": way}
	}
	if err := vault.NewMount(ctx, mount, method, "app", r.tokenType, extra); err != nil {
		return err
	}
	return r.ready(ctx, vault, mount, body, way == "live")
}

// ready logs in, with which a mount begins to follow its cluster, and waits for that where
// it does.
func (r *run) ready(ctx context.Context, vault *rig.Vault, mount string, body []byte, follows bool) error {
	callers := load.Logins(1, vault.Addr, mount, [][]byte{body})
	defer load.Close(callers)
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
		if _, err := load.Run(ctx, callers, load.Plan{Calls: 1}); err != nil || !follows {
			return err
		}
		if known, err := vault.Follows(ctx, mount); known || err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return errors.New("the cluster is not followed after minutes")
}

const (
	stormClients = 64
	stormMounts  = 20
)

// storm has many pods log in once each, as after the restart of a cluster's nodes, at one
// mount and at several.
func (r *run) storm(ctx context.Context, results *report.Report) error {
	section := &report.Storm{Stamp: r.begin(), TokenType: r.tokenType}
	pods, err := r.rig.Pods(ctx, "storm", r.stormPods)
	if err != nil {
		return err
	}
	err = r.withVault(ctx, "storm", func(vault *rig.Vault) error {
		mounts, err := r.stormMounts(ctx, vault, pods)
		if err != nil {
			return err
		}
		for _, count := range []int{1, stormMounts} {
			if err := r.stormsAt(ctx, vault, pods, mounts, count, section); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		results.Storm = section
	}
	return err
}

// stormMounts mounts each subject several times.
func (r *run) stormMounts(ctx context.Context, vault *rig.Vault, pods []rig.Pod) (map[report.Subject][]string, error) {
	warm, err := r.freshBodies(ctx, pods, 1)
	if err != nil {
		return nil, err
	}
	mounts := map[report.Subject][]string{}
	for _, w := range ways {
		for _, mount := range names("storm"+w.way, stormMounts) {
			if err := r.mountWay(ctx, vault, mount, w.method, w.way, warm[0]); err != nil {
				return nil, err
			}
			mounts[w.subject] = append(mounts[w.subject], mount)
		}
	}
	return mounts, nil
}

// stormsAt are the rounds of storms at so many mounts of each subject.
func (r *run) stormsAt(ctx context.Context, vault *rig.Vault, pods []rig.Pod, mounts map[report.Subject][]string, count int, section *report.Storm) error {
	for number := range r.rounds {
		for _, w := range inTurn(number, ways) {
			round, err := r.oneStorm(ctx, vault, pods, mounts[w.subject][:count])
			if err != nil {
				return fmt.Errorf("%s: %w", w.subject, err)
			}
			round.Round.Round, round.Subject = number, w.subject
			fmt.Fprintln(r.progress, shortRound(round.Round))
			section.Rounds = append(section.Rounds, round)
		}
	}
	return nil
}

// oneStorm has each pod log in with a token that nobody has seen.
func (r *run) oneStorm(ctx context.Context, vault *rig.Vault, pods []rig.Pod, mounts []string) (s report.StormRound, err error) {
	bodies, err := r.freshBodies(ctx, pods, len(pods))
	if err != nil {
		return s, err
	}
	callers := load.Across(stormClients, vault.Addr, mounts, bodies)
	defer load.Close(callers)
	processes, err := r.processes(vault)
	if err != nil {
		return s, err
	}
	if err := pause(ctx); err != nil {
		return s, err
	}
	s.Mounts, s.Clients = len(mounts), stormClients
	s.Result, s.CPU, err = metered(processes, func() (load.Result, error) {
		return load.Run(ctx, callers, load.Plan{Calls: int64(len(bodies))})
	})
	return s, err
}
