package report

import (
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
	"vault-plugin-auth-kubernetes/bench/internal/proc"
)

func TestSpreadOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   Spread
	}{
		{"one", []float64{3}, Spread{3, 3, 3}},
		{"odd, in no order", []float64{5, 1, 3}, Spread{3, 1, 5}},
		{"even", []float64{4, 1, 2, 8}, Spread{3, 1, 8}},
		{"equal", []float64{2, 2, 2, 2}, Spread{2, 2, 2}},
	} {
		before := append([]float64(nil), tt.values...)
		if got := SpreadOf(tt.values); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
		if !reflect.DeepEqual(tt.values, before) {
			t.Errorf("%s: the values were moved", tt.name)
		}
	}
}

// made is a round at a rate, with a p50 of as many milliseconds.
func made(round int, subject Subject, clients int, perSecond int64, cpu map[string]float64) Round {
	return Round{
		Round: round, Subject: subject, Clients: clients, CPU: cpu,
		Result: load.Result{Calls: perSecond, Elapsed: time.Second, P50: time.Duration(perSecond) * time.Millisecond, P99: time.Second},
	}
}

// TestRatioOver has a round in which the whole machine is slower: the ratio within it
// is as in the others, while that of the medians would be off.
func TestRatioOver(t *testing.T) {
	rounds := []Round{
		made(0, BuiltIn, 16, 100, nil), made(0, Plugin, 16, 80, nil),
		made(1, Plugin, 16, 8, nil), made(1, BuiltIn, 16, 10, nil),
		made(2, BuiltIn, 16, 100, nil), made(2, Plugin, 16, 90, nil),
		made(3, Plugin, 16, 1000, nil), // its counterpart is missing
		made(0, BuiltIn, 64, 1, nil), made(0, Plugin, 64, 1000, nil),
	}
	got, ok := RatioOver(rounds, 16, Side{Plugin, PerSecond}, Side{BuiltIn, PerSecond})
	if want := (Spread{0.8, 0.8, 0.9}); !ok || !near(got, want) {
		t.Errorf("got %v, %v, want %v", got, ok, want)
	}
	if _, ok := RatioOver(rounds, 1, Side{Plugin, PerSecond}, Side{BuiltIn, PerSecond}); ok {
		t.Error("a ratio of rounds that were not made")
	}
	if _, ok := RatioOver(rounds, 16, Side{Plugin, CPU(PluginProcess)}, Side{BuiltIn, CPU(PluginProcess)}); ok {
		t.Error("a ratio to nothing")
	}
}

func near(a, b Spread) bool {
	const tolerance = 1e-9
	return math.Abs(a.Median-b.Median) < tolerance && math.Abs(a.Min-b.Min) < tolerance && math.Abs(a.Max-b.Max) < tolerance
}

func TestCPU(t *testing.T) {
	r := made(0, Plugin, 1, 1, map[string]float64{VaultProcess: 400, PluginProcess: 300, Client: 50})
	if got := CPU(VaultProcess, PluginProcess)(r); got != 700 {
		t.Errorf("got %v", got)
	}
}

func TestWindow(t *testing.T) {
	e := &Endurance{Result: load.Result{Calls: 200}, Baseline: 20}
	for _, s := range []struct{ logins, rss int64 }{{10, 1}, {20, 40}, {25, 60}, {30, 50}, {31, 1}, {195, 100}} {
		e.Samples = append(e.Samples, Sample{Logins: s.logins, State: proc.Footprint{RSS: s.rss, Threads: 7, Files: 9}, Goroutines: 11})
	}
	if got, ok := e.Window(20, 20+e.windowLogins()); !ok || got != (Sizes{RSS: 50, Threads: 7, Files: 9, Goroutines: 11}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	if _, ok := e.Window(100, 110); ok {
		t.Error("a window without samples")
	}
	if table := e.table(); !strings.Contains(table, "changed by +100.0 %") {
		t.Errorf("got %s", table)
	}
}

// TestTables shows that what was measured reaches the tables, and that a report in
// which sections are missing has tables too.
func TestTables(t *testing.T) {
	cpu := map[string]float64{VaultProcess: 411, PluginProcess: 322, APIServer: 533, Etcd: 44, Client: 155}
	r := &Report{Throughput: &Throughput{TokenType: "service", Rounds: []Round{
		made(0, BuiltIn, 16, 1000, cpu), made(0, Plugin, 16, 850, cpu), made(0, Floor, 16, 3000, cpu),
	}}}
	tables := r.Tables()
	for _, name := range Names {
		if tables[name] == "" {
			t.Errorf("no table %s", name)
		}
	}
	if len(tables) != len(Names) {
		t.Errorf("%d tables, %d names", len(tables), len(Names))
	}
	if tables["start"] != notMeasured {
		t.Errorf("got %s", tables["start"])
	}
	for _, want := range []string{"850", "3000", "411", "322", "533", "service tokens"} {
		if !strings.Contains(tables["throughput"], want) {
			t.Errorf("no %s in\n%s", want, tables["throughput"])
		}
	}
	for _, want := range []string{"0.85", "2.08"} { // 850 to 1000, 322 to 155
		if !strings.Contains(tables["ratios"], want) {
			t.Errorf("no %s in\n%s", want, tables["ratios"])
		}
	}
}

func TestGrid(t *testing.T) {
	got := grid([][]string{{"name", "µs"}, {"a", "1.5"}, {"bcdef", "123"}, {"", ""}})
	want := `| name  | µs  |
| ----- | --: |
| a     | 1.5 |
| bcdef | 123 |
|       |     |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestFill(t *testing.T) {
	const place = "<!-- bench:start -->\nold\n<!-- /bench -->"
	tables := map[string]string{"start": "new $1\n"}
	got, err := Fill("before\n"+place+"\nafter\n", tables)
	if want := "before\n<!-- bench:start -->\nnew $1\n<!-- /bench -->\nafter\n"; err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if again, err := Fill(got, tables); err != nil || again != got {
		t.Errorf("filled again it is %q, %v", again, err)
	}
	for name, document := range map[string]string{
		"no place":          "before\n",
		"two places":        place + "\n" + place,
		"unknown table":     place + "\n<!-- bench:other -->\n<!-- /bench -->",
		"not closed":        "<!-- bench:start -->\n",
		"only closed":       place + "\n<!-- /bench -->",
		"closed by another": "<!-- bench:start -->\n" + place,
	} {
		if got, err := Fill(document, tables); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestReadAndWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results", "latest.json")
	if empty, err := Read(path); err != nil || *empty != (Report{}) {
		t.Fatalf("a report that does not exist: %+v, %v", empty, err)
	}
	want := &Report{Memory: &Memory{Logins: 10, Idle: proc.Footprint{RSS: 5}}}
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}
