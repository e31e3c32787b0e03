package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/proc"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/bench/internal/rig"
	"vault-plugin-auth-kubernetes/test/testbed"
)

// settle is how long nothing is sent between two things that are measured, so that
// the one does not pay for what the other left to do.
const settle = 300 * time.Millisecond

// run is one run of the bench.
type run struct {
	options
	rig      *rig.Rig
	stamp    report.Stamp // what all sections of the run share
	progress io.Writer
}

// section measures one thing and puts it into the report.
type section struct {
	name string
	run  func(*run, context.Context, *report.Report) error
}

func sections() []section {
	return []section{
		{"throughput", (*run).throughput},
		{"cache", (*run).cache},
		{"memory", (*run).memory},
		{"roles", (*run).manyRoles},
		{"writes", (*run).writes},
		{"mounts", (*run).manyMounts},
		{"endurance", (*run).endurance},
		{"start", (*run).start},
		{"verification", (*run).verification},
		{"watching", (*run).watching}, // while the cluster is small
		{"storm", (*run).storm},
		{"following", (*run).following}, // last, since it fills the cluster
	}
}

func sectionNames() []string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

func runCommand(ctx context.Context, args []string) (err error) {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the run took longer than -timeout=%s", o.timeout))
	defer cancel()
	results, err := report.Read(o.out)
	if err != nil {
		return err
	}
	r := &run{options: o, progress: os.Stderr}
	server := testbed.VaultOptions{LogLevel: o.logLevel, Config: o.vaultConfig}
	if r.rig, err = rig.Start(ctx, rig.Options{Progress: os.Stderr, Tokens: o.tokens, Vault: server}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.rig.Stop()) }()
	if r.stamp, err = r.newStamp(ctx); err != nil {
		return err
	}
	if err := r.measure(ctx, results); err != nil {
		return err
	}
	tables := results.Tables()
	for _, name := range report.Names {
		fmt.Printf("\n%s\n\n%s", name, tables[name])
	}
	return nil
}

// measure runs the sections that were asked for, and writes the results after each.
func (r *run) measure(ctx context.Context, results *report.Report) error {
	for _, s := range sections() {
		if !slices.Contains(r.sections, s.name) {
			continue
		}
		began := time.Now()
		fmt.Fprintf(r.progress, "measuring %s\n", s.name)
		if err := s.run(r, ctx, results); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := report.Write(r.out, results); err != nil {
			return err
		}
		fmt.Fprintf(r.progress, "measured %s in %s\n", s.name, time.Since(began).Round(time.Second))
	}
	return nil
}

func (r *run) newStamp(ctx context.Context) (report.Stamp, error) {
	s := report.Stamp{
		Go: runtime.Version(), Plugin: r.rig.PluginVersion(), LogLevel: r.logLevel, VaultConfig: r.vaultConfig, Tokens: r.tokens,
	}
	var err error
	if s.Machine, err = proc.ThisMachine(); err != nil {
		return s, err
	}
	if s.Kubernetes, err = r.rig.ClusterVersion(); err != nil {
		return s, err
	}
	if s.Storage, err = proc.FileSystem(r.rig.Dir()); err != nil {
		return s, err
	}
	s.Revision = revision(ctx)
	vault, err := r.rig.NewVault(ctx, "versions")
	if err != nil {
		return s, err
	}
	s.Vault, s.BuiltIn, err = vault.Versions(ctx)
	return s, errors.Join(err, vault.Stop())
}

// pluginSources are the paths in the repository that the plugin is built from.
var pluginSources = []string{"--", ":(glob)*.go", "internal", "go.mod", "go.sum"}

// revision is the commit that last changed the plugin's source, with a + if there are
// changes that were not committed. It is asked of git, since the go command notes none
// in a linked working tree.
func revision(ctx context.Context) string {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		return "unknown"
	}
	git := func(args ...string) (string, error) {
		args = slices.Concat([]string{"-C", root}, args, pluginSources)
		out, err := exec.CommandContext(ctx, "git", args...).Output() //nolint:gosec // fixed arguments
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("log", "-1", "--format=%h", "--abbrev=12")
	if err != nil || commit == "" {
		return "unknown"
	}
	changed, err := git("status", "--porcelain")
	if err != nil || changed != "" {
		commit += "+"
	}
	return commit
}

// begin is the stamp of a section that begins now.
func (r *run) begin() report.Stamp {
	s := r.stamp
	s.Began = time.Now().UTC().Truncate(time.Second)
	return s
}

// withVault runs do with a fresh Vault.
func (r *run) withVault(ctx context.Context, name string, do func(*rig.Vault) error) error {
	vault, err := r.rig.NewVault(ctx, name)
	if err != nil {
		return err
	}
	return andStop(vault, do)
}

// withRaftVault is withVault with integrated storage in a folder.
func (r *run) withRaftVault(ctx context.Context, name, storage string, do func(*rig.Vault) error) error {
	vault, err := r.rig.NewRaftVault(ctx, name, storage)
	if err != nil {
		return err
	}
	return andStop(vault, do)
}

func andStop(vault *rig.Vault, do func(*rig.Vault) error) (err error) {
	defer func() { err = errors.Join(err, vault.Stop()) }()
	return do(vault)
}

// logins are clients that log in at a mount under one role.
func (r *run) logins(clients int, vault *rig.Vault, mount, role string) ([]load.Caller, error) {
	bodies, err := load.LoginBodies([]string{role}, r.rig.Tokens)
	if err != nil {
		return nil, err
	}
	return load.Logins(clients, vault.Addr, mount, bodies), nil
}

// processes are those whose CPU time is measured in rounds, but for the client.
func (r *run) processes(vault *rig.Vault) (map[string]int, error) {
	pids, err := r.clusterProcesses()
	if err != nil {
		return nil, err
	}
	pids[report.VaultProcess] = vault.PID
	pids[report.PluginProcess], err = vault.PluginPID()
	return pids, err
}

// clusterProcesses are those of the cluster.
func (r *run) clusterProcesses() (map[string]int, error) {
	cluster, err := r.rig.ClusterPIDs()
	if err != nil {
		return nil, err
	}
	pids := map[string]int{}
	for _, name := range []string{report.APIServer, report.Etcd} {
		if pids[name] = cluster[name]; pids[name] == 0 {
			return nil, fmt.Errorf("there is no process %s", name)
		}
	}
	return pids, nil
}

// metered runs do and returns the microseconds of CPU time that each process spent
// meanwhile, for each call.
func metered(pids map[string]int, do func() (load.Result, error)) (load.Result, map[string]float64, error) {
	var result load.Result
	_, spent, err := spending(pids, func() (err error) {
		result, err = do()
		return err
	})
	if err != nil {
		return load.Result{}, nil, err
	}
	each := map[string]float64{}
	for name, used := range spent {
		each[name] = float64(used.Microseconds()) / float64(result.Calls)
	}
	return result, each, nil
}

// spending runs do and returns how long that took, and the CPU time that each process spent
// meanwhile.
func spending(pids map[string]int, do func() error) (took time.Duration, spent map[string]time.Duration, err error) {
	before, err := cpuTimes(pids)
	if err != nil {
		return 0, nil, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, nil, err
	}
	took = time.Since(began)
	spent, err = cpuTimes(pids)
	for name := range spent {
		spent[name] -= before[name]
	}
	return took, spent, err
}

func cpuTimes(pids map[string]int) (map[string]time.Duration, error) {
	times := map[string]time.Duration{}
	for name, pid := range pids {
		var err error
		if times[name], err = proc.CPU(pid); err != nil {
			return nil, err
		}
	}
	return times, nil
}

// pause waits until what was measured last has settled.
func pause(ctx context.Context) error {
	select {
	case <-time.After(settle):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// names returns n names with a prefix.
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%05d", prefix, i)
	}
	return all
}

// shortRound says a round in one line.
func shortRound(round report.Round) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  round %d, %2d clients, %-17s %6.0f/s, p50 %6.2f ms", round.Round+1, round.Clients, round.Subject,
		report.PerSecond(round), report.P50(round))
	return b.String()
}
