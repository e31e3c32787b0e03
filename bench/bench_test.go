package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestDocumentationIsOfTheResults keeps the figures and plots that people read from
// drifting from the file that they were made of.
func TestDocumentationIsOfTheResults(t *testing.T) {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(root, "bench", "results", "latest.json")
	if !isFile(results) {
		t.Fatalf("%s is missing", results)
	}
	files, err := rendered(results, filepath.Join(root, "docs", "performance.md"), filepath.Join(root, "docs", "images"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not of these results; bench plot makes it anew", path)
		}
	}
}

// TestSmoke measures everything in small.
func TestSmoke(t *testing.T) {
	if os.Getenv("BENCH_SMOKE") != "1" {
		t.Skip("starts real servers and takes a minute; BENCH_SMOKE=1 runs it")
	}
	dir := t.TempDir()
	program, out := filepath.Join(dir, "bench"), filepath.Join(dir, "results.json")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	command := exec.CommandContext(t.Context(), program, "run", "-short", "-out", out)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	results, err := report.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range results.Tables() {
		if strings.Contains(table, "Not measured") || !strings.Contains(string(text), table) {
			t.Errorf("the table %s was not printed:\n%s", name, text)
		}
	}
	if got := len(results.Throughput.Rounds); got != 2*3*4 {
		t.Errorf("%d rounds of throughput", got)
	}
	if c := results.Cache; c.Reviews < int64(c.Stamp.Tokens) || c.Reviews > c.Windows*int64(c.Stamp.Tokens) {
		t.Errorf("%d TokenReviews for %d tokens over %d windows", c.Reviews, c.Stamp.Tokens, c.Windows)
	}
	if got := results.Mounts.Processes; got != 1 {
		t.Errorf("%d processes for all mounts", got)
	}
	if bytes.Contains(text, []byte("eyJ")) {
		t.Error("a token was printed")
	}
}

func TestInTurn(t *testing.T) {
	list := []string{"a", "b", "c"}
	firsts := map[string]int{}
	for number, want := range []string{"abc", "cba", "bca", "acb", "cab", "bac"} {
		got := inTurn(number, list)
		if strings.Join(got, "") != want {
			t.Errorf("round %d: %v, want %s", number, got, want)
		}
		firsts[got[0]]++
	}
	for _, item := range list {
		if firsts[item] != 2 {
			t.Errorf("%s comes first in %d of 6 rounds", item, firsts[item])
		}
	}
	if !slices.Equal(list, []string{"a", "b", "c"}) {
		t.Errorf("the list was moved: %v", list)
	}
}

func TestOptions(t *testing.T) {
	o, err := parseOptions(nil)
	if err != nil || o.rounds < 5 || o.enduranceLogins != 200_000 || len(o.sections) != 12 || !slices.Equal(o.clients, []int{1, 16, 64}) || !slices.Equal(o.changes, []int{0, 50, 500}) {
		t.Errorf("got %+v, %v", o, err)
	}
	if !strings.HasSuffix(o.out, filepath.Join("bench", "results", "latest.json")) {
		t.Errorf("the results go to %s", o.out)
	}
	short, err := parseOptions([]string{"-rounds=7", "-short", "-sections=start,cache"})
	if err != nil || short.rounds != 7 || short.roles >= o.roles || len(short.sections) != 2 {
		t.Errorf("got %+v, %v", short, err)
	}
	if short.out == o.out {
		t.Error("a short run replaces the results of a full one")
	}
	set, err := parseOptions([]string{"-vault-config=imprecise_lease_role_tracking=true", "-vault-config=log_format=json"})
	if err != nil || set.vaultConfig["imprecise_lease_role_tracking"] != true || set.vaultConfig["log_format"] != "json" {
		t.Errorf("got %+v, %v", set, err)
	}
	for _, args := range [][]string{
		{"-sections=start,nothing"}, {"-sections="}, {"-clients=0"}, {"-clients=1,x"}, {"-rounds=0"},
		{"-duration=0s"}, {"-token-type=other"}, {"-mounts=-1"}, {"-vault-config=x"}, {"more"},
		{"-changes=1,-1"}, {"-changes="}, {"-changed-pods=0"}, {"-changes-for=0s"},
	} {
		if o, err := parseOptions(args); err == nil {
			t.Errorf("%v: got %+v", args, o)
		}
	}
}

// The flags that the documentation gives are ones that there are.
func TestDocumentedFlags(t *testing.T) {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	given := regexp.MustCompile(`BENCH_FLAGS='([^']*)'`).FindAllSubmatch(text, -1)
	if len(given) == 0 {
		t.Error("none are given; the pattern must be wrong")
	}
	for _, flags := range given {
		if _, err := parseOptions(strings.Fields(string(flags[1]))); err != nil {
			t.Errorf("%s: %v", flags[1], err)
		}
	}
}

// TestMetered measures this very process.
func TestMetered(t *testing.T) {
	pids := map[string]int{"self": os.Getpid()}
	want := load.Result{Calls: 10}
	got, cpu, err := metered(pids, func() (load.Result, error) {
		for sum := range 50_000_000 {
			_ = sum * sum
		}
		return want, nil
	})
	if err != nil || got != want || cpu["self"] <= 0 {
		t.Errorf("got %+v, %v, %v", got, cpu, err)
	}
	pids["gone"] = 1 << 22 // more than any pid
	if _, _, err := metered(pids, func() (load.Result, error) { return want, nil }); err == nil {
		t.Error("the CPU time of no process was measured")
	}
}
