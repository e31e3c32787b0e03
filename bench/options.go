package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// options are how much is measured.
type options struct {
	sections []string
	short    bool
	out      string // JSON file
	timeout  time.Duration

	tokens    int
	tokenType string
	logLevel  string
	// vaultConfig are further settings of the server.
	vaultConfig map[string]any

	clients  []int
	rounds   int
	duration time.Duration // of one subject in one round
	warmUp   time.Duration

	cacheTTL        time.Duration
	memoryLogins    int64
	mounts          int
	roles           int
	enduranceLogins int64
	baselineLogins  int64
	sampleEvery     time.Duration
	starts          int

	fresh                       int // tokens that nobody has seen
	stormPods                   int
	followedPods, followedNames int
	changedPods                 int
	changes                     []int         // changes of pods in a second
	changesFor                  time.Duration // of one rate in one round
}

// parseOptions reads the command line; -short changes the defaults of all sizes, and
// not what is given beside it.
func parseOptions(args []string) (options, error) {
	o, err := parseWith(args, usualSizes)
	if err == nil && o.short {
		o, err = parseWith(args, shortSizes)
	}
	if err != nil {
		return o, err
	}
	return o, o.check()
}

// usualSizes are the sizes of a run whose results are worth keeping.
func usualSizes() options {
	return options{
		timeout: 2 * time.Hour, tokens: 200,
		rounds: 5, duration: 5 * time.Second, warmUp: 3 * time.Second,
		cacheTTL: 10 * time.Second, memoryLogins: 10_000, mounts: 1000, roles: 10_000,
		enduranceLogins: 200_000, baselineLogins: 20_000, sampleEvery: time.Second, starts: 10,
		fresh: 40_000, stormPods: 10_000, followedPods: 100_000, followedNames: 20_000,
		changedPods: 1000, changesFor: 10 * time.Second,
	}
}

// shortSizes show in about a minute that everything works, and say nothing else.
func shortSizes() options {
	return options{
		timeout: 10 * time.Minute, tokens: 20,
		rounds: 2, duration: 300 * time.Millisecond, warmUp: 200 * time.Millisecond,
		cacheTTL: time.Second, memoryLogins: 300, mounts: 10, roles: 100,
		enduranceLogins: 2000, baselineLogins: 500, sampleEvery: 20 * time.Millisecond, starts: 2,
		fresh: 2000, stormPods: 200, followedPods: 300, followedNames: 60,
		changedPods: 20, changesFor: 300 * time.Millisecond,
	}
}

func parseWith(args []string, sizes func() options) (options, error) {
	o := sizes()
	flags := flag.NewFlagSet("bench run", flag.ContinueOnError)
	var sections, clients, changes string
	flags.StringVar(&sections, "sections", strings.Join(sectionNames(), ","), "what to measure")
	flags.BoolVar(&o.short, "short", false, "a run of about a minute, to see that all works")
	flags.StringVar(&o.out, "out", "", "file for the results; sections in it that are not measured now are kept (default: bench/results/latest.json, with -short build/bench/latest.json)")
	flags.DurationVar(&o.timeout, "timeout", o.timeout, "bound on the whole run")
	flags.IntVar(&o.tokens, "tokens", o.tokens, "service accounts, which log in in turn")
	flags.StringVar(&o.tokenType, "token-type", "batch", "token_type of the roles, except for the long run, which has batch")
	flags.StringVar(&o.logLevel, "log-level", "info", "Vault's log level")
	flags.Func("vault-config", "a further setting of Vault's configuration file, as name=value; may be given several times", o.setVaultConfig)
	flags.StringVar(&clients, "clients", "1,16,64", "numbers of clients to measure with")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "interleaved rounds")
	flags.DurationVar(&o.duration, "duration", o.duration, "how long one subject is driven in one round")
	flags.DurationVar(&o.warmUp, "warm-up", o.warmUp, "how long each subject is driven before the first round")
	flags.DurationVar(&o.cacheTTL, "cache-ttl", o.cacheTTL, "cache: token_review_cache_ttl")
	flags.Int64Var(&o.memoryLogins, "memory-logins", o.memoryLogins, "memory: logins")
	flags.IntVar(&o.mounts, "mounts", o.mounts, "mounts: how many")
	flags.IntVar(&o.roles, "roles", o.roles, "roles: how many")
	flags.Int64Var(&o.enduranceLogins, "endurance-logins", o.enduranceLogins, "endurance: logins")
	flags.Int64Var(&o.baselineLogins, "endurance-baseline", o.baselineLogins, "endurance: logins after which the process is taken for warm")
	flags.IntVar(&o.fresh, "fresh-tokens", o.fresh, "verification: tokens that are sent in turn; as many as log in within the 10 seconds for which the API server remembers one")
	flags.IntVar(&o.stormPods, "storm-pods", o.stormPods, "storm: pods that log in once each")
	flags.IntVar(&o.followedPods, "followed-pods", o.followedPods, "following: pods")
	flags.IntVar(&o.followedNames, "followed-accounts", o.followedNames, "following: service accounts")
	flags.IntVar(&o.changedPods, "changed-pods", o.changedPods, "watching: pods that change in turn")
	flags.StringVar(&changes, "changes", "0,50,500", "watching: changes of pods in a second to measure with")
	flags.DurationVar(&o.changesFor, "changes-for", o.changesFor, "watching: how long pods change at one rate in one round")
	flags.IntVar(&o.starts, "starts", o.starts, "start: repetitions")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	o.sections = strings.Split(sections, ",")
	var err error
	if o.clients, err = numbersOf(clients, 1, 1000); err != nil {
		return o, fmt.Errorf("-clients: %w", err)
	}
	if o.changes, err = numbersOf(changes, 0, 100_000); err != nil {
		return o, fmt.Errorf("-changes: %w", err)
	}
	return o, nil
}

// numbersOf reads numbers within bounds, with commas between them.
func numbersOf(list string, least, most int) ([]int, error) {
	var numbers []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("%q is no number from %d to %d", text, least, most)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// setVaultConfig takes a setting whose value is a truth value, a number or a text.
func (o *options) setVaultConfig(setting string) error {
	name, text, ok := strings.Cut(setting, "=")
	if !ok || name == "" {
		return errors.New("not name=value")
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		value = text
	}
	if o.vaultConfig == nil {
		o.vaultConfig = map[string]any{}
	}
	o.vaultConfig[name] = value
	return nil
}

func (o *options) check() error {
	for _, section := range o.sections {
		if !slices.Contains(sectionNames(), section) {
			return fmt.Errorf("-sections: %q is none of %s", section, strings.Join(sectionNames(), ", "))
		}
	}
	if !slices.Contains([]string{"service", "batch"}, o.tokenType) {
		return fmt.Errorf("-token-type: %q is neither service nor batch", o.tokenType)
	}
	for _, d := range []time.Duration{o.timeout, o.duration, o.warmUp, o.cacheTTL, o.changesFor} {
		if d <= 0 {
			return errors.New("durations have to be positive")
		}
	}
	if min(o.tokens, o.rounds, o.mounts, o.roles, o.starts, o.fresh, o.stormPods, o.followedPods, o.followedNames, o.changedPods) < 1 || min(o.memoryLogins, o.enduranceLogins, o.baselineLogins) < 1 {
		return errors.New("sizes have to be positive")
	}
	if o.out != "" {
		return nil
	}
	root, err := testbed.RepositoryRoot()
	if err != nil {
		return err
	}
	o.out = filepath.Join(root, "bench", "results", "latest.json")
	if o.short {
		o.out = filepath.Join(root, "build", "bench", "latest.json")
	}
	return nil
}

// isFile tells whether a path is there, and a regular file.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
