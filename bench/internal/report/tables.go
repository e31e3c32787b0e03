package report

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"vault-plugin-auth-kubernetes/bench/internal/proc"
)

// notMeasured stands where a section has not been measured.
const notMeasured = "Not measured.\n"

// Names are those of the tables, in the order in which they are printed.
var Names = []string{"conditions", "throughput", "ratios", "cache", "memory", "mounts", "roles", "writes", "endurance", "start", "verification", "storm", "following", "watching"}

// Tables returns the tables in Markdown, by their names.
func (r *Report) Tables() map[string]string {
	return map[string]string{
		"conditions": r.conditions(),
		"throughput": r.Throughput.table(),
		"ratios":     r.Throughput.ratios(),
		"cache":      r.Cache.table(),
		"memory":     r.Memory.table(),
		"mounts":     r.Mounts.table(),
		"roles":      r.Roles.table(),
		"writes":     r.Writes.table(),
		"endurance":  r.Endurance.table(),
		"start":      r.Start.table(),

		"verification": r.Verification.table(),
		"storm":        r.Storm.table(),
		"following":    r.Following.table(),
		"watching":     r.Watching.table(),
	}
}

// String says where and of what a section was measured.
func (s Stamp) String() string {
	text := fmt.Sprintf("%d cores (%s), %d MiB, Linux %s; plugin %s (%s), Vault %s, its method %s, kube-apiserver %s, %s, log level %s, storage on %s, %d tokens",
		s.Machine.Cores, s.Machine.CPU, s.Machine.MemoryMiB, s.Machine.Kernel,
		s.Plugin, s.Revision, s.Vault, s.BuiltIn, s.Kubernetes, s.Go, s.LogLevel, s.Storage, s.Tokens)
	for _, name := range slices.Sorted(maps.Keys(s.VaultConfig)) {
		text += fmt.Sprintf(", %s=%v", name, s.VaultConfig[name])
	}
	return text
}

// conditions says for each section when, where and of what it was measured; those
// that were measured alike are named together.
func (r *Report) conditions() string {
	sections := map[string][]string{} // names, by what they have in common
	var order []string
	note := func(name string, s Stamp) {
		alike := s.Began.UTC().Format("2006-01-02") + ": " + s.String()
		if sections[alike] == nil {
			order = append(order, alike)
		}
		sections[alike] = append(sections[alike], name)
	}
	for name, stamp := range r.stamps() {
		note(name, stamp)
	}
	if len(order) == 0 {
		return notMeasured
	}
	var b strings.Builder
	for _, alike := range order {
		fmt.Fprintf(&b, "- %s, %s.\n", strings.Join(sections[alike], ", "), alike)
	}
	return b.String()
}

// stamps goes through the sections that were measured, in their order.
func (r *Report) stamps() iter.Seq2[string, Stamp] {
	return func(yield func(string, Stamp) bool) {
		_ = (r.Throughput == nil || yield("throughput", r.Throughput.Stamp)) &&
			(r.Cache == nil || yield("cache", r.Cache.Stamp)) &&
			(r.Memory == nil || yield("memory", r.Memory.Stamp)) &&
			(r.Mounts == nil || yield("mounts", r.Mounts.Stamp)) &&
			(r.Roles == nil || yield("roles", r.Roles.Stamp)) &&
			(r.Writes == nil || yield("writes", r.Writes.Stamp)) &&
			(r.Endurance == nil || yield("endurance", r.Endurance.Stamp)) &&
			(r.Start == nil || yield("start", r.Start.Stamp)) &&
			r.stampsOfVerification(yield)
	}
}

func (r *Report) stampsOfVerification(yield func(string, Stamp) bool) bool {
	return (r.Verification == nil || yield("verification", r.Verification.Stamp)) &&
		(r.Storm == nil || yield("storm", r.Storm.Stamp)) &&
		(r.Following == nil || yield("following", r.Following.Stamp)) &&
		(r.Watching == nil || yield("watching", r.Watching.Stamp))
}

func (t *Throughput) table() string {
	if t == nil {
		return notMeasured
	}
	rows := [][]string{{"clients", "", "logins/s", "p50 ms", "p99 ms", "vault µs", "plugin µs", "kube-apiserver µs", "etcd µs", "client µs"}}
	for _, clients := range Concurrencies(t.Rounds) {
		for _, subject := range []Subject{BuiltIn, Plugin, Floor, PacedFloor} {
			row := []string{fmt.Sprint(clients), string(subject)}
			for _, cell := range []struct {
				format string
				figure Figure
			}{
				{"%.0f", PerSecond},
				{"%.2f", P50},
				{"%.2f", P99},
				{"%.0f", CPU(VaultProcess)},
				{"%.0f", CPU(PluginProcess)},
				{"%.0f", CPU(APIServer)},
				{"%.0f", CPU(Etcd)},
				{"%.0f", CPU(Client)},
			} {
				row = append(row, median(cell.format)(t.SpreadFor(subject, clients, cell.figure)))
			}
			rows = append(rows, row)
		}
	}
	return grid(rows) +
		fmt.Sprintf("\nMedians of %d rounds; %s tokens. The columns in µs are CPU time a login.\n", countRounds(t.Rounds), t.TokenType)
}

// servers are the processes that a login keeps busy, without the one that asks for it.
var servers = CPU(VaultProcess, PluginProcess, APIServer, Etcd)

func (t *Throughput) ratios() string {
	if t == nil {
		return notMeasured
	}
	rows := [][]string{{"ratio", "clients", "median", "least", "most"}}
	for _, line := range []struct {
		name string
		a, b Side
	}{
		{"logins/s, plugin to built-in", Side{Plugin, PerSecond}, Side{BuiltIn, PerSecond}},
		{"p50, plugin to built-in", Side{Plugin, P50}, Side{BuiltIn, P50}},
		{"CPU of all servers, plugin to built-in", Side{Plugin, servers}, Side{BuiltIn, servers}},
		{"CPU of kube-apiserver, plugin to built-in", Side{Plugin, CPU(APIServer)}, Side{BuiltIn, CPU(APIServer)}},
		{"CPU, plugin's process to client of TokenReview alone", Side{Plugin, CPU(PluginProcess)}, Side{Floor, CPU(Client)}},
		{"the same, at the plugin's rate of reviews", Side{Plugin, CPU(PluginProcess)}, Side{PacedFloor, CPU(Client)}},
	} {
		for _, clients := range Concurrencies(t.Rounds) {
			rows = append(rows, append([]string{line.name, fmt.Sprint(clients)}, spread(RatioOver(t.Rounds, clients, line.a, line.b))...))
		}
	}
	return grid(rows)
}

func (c *Cache) table() string {
	if c == nil {
		return notMeasured
	}
	rows := [][]string{{"clients", "built-in logins/s", "plugin logins/s", "ratio", "least", "most", "vault µs", "plugin µs", "kube-apiserver µs"}}
	for _, clients := range Concurrencies(c.Rounds) {
		row := []string{
			fmt.Sprint(clients),
			median("%.0f")(spreadOver(c.Rounds, BuiltIn, clients, PerSecond)),
			median("%.0f")(spreadOver(c.Rounds, Plugin, clients, PerSecond)),
		}
		row = append(row, spread(RatioOver(c.Rounds, clients, Side{Plugin, PerSecond}, Side{BuiltIn, PerSecond}))...)
		for _, process := range []string{VaultProcess, PluginProcess, APIServer} {
			row = append(row, median("%.0f")(spreadOver(c.Rounds, Plugin, clients, CPU(process))))
		}
		rows = append(rows, row)
	}
	return grid(rows) + fmt.Sprintf(
		"\ntoken_review_cache_ttl=%s, %s tokens; the columns in µs are CPU time of one of the plugin's logins. In a run of %d logins with %d tokens over %d windows the API server counted %d TokenReviews: %.2f a token and window.\n",
		c.TTL, c.TokenType, c.Counted.Calls, c.Stamp.Tokens, c.Windows, c.Reviews, float64(c.Reviews)/float64(c.Windows*int64(c.Stamp.Tokens)))
}

func (m *Memory) table() string {
	if m == nil {
		return notMeasured
	}
	return grid([][]string{
		{"the plugin's process", "resident MiB", "threads", "open files"},
		footprint("idle, one mount", m.Idle),
		footprint(fmt.Sprintf("after %d logins of %d clients", m.Logins, m.Clients), m.After),
	}) + fmt.Sprintf("\nMost that was ever resident: %s MiB. The binary has %s MiB.\n", mib(m.After.Peak), mib(m.Binary))
}

func (m *Mounts) table() string {
	if m == nil {
		return notMeasured
	}
	return grid([][]string{
		{"the plugin's process", "resident MiB", "threads", "open files"},
		footprint("one mount, used", m.One),
		footprint(fmt.Sprintf("%d more mounts, not configured", m.Mounts), m.Mounted),
		footprint(fmt.Sprintf("%d more mounts, each used once", m.Mounts), m.Used),
	}) + fmt.Sprintf("\nThat is %s KiB a mount, and %s KiB for one that is used, in %d process. Mounting takes %.0f ms (median of the first tenth; of the last: %.0f ms).\n",
		kibEach(m.Mounted.RSS-m.One.RSS, m.Mounts), kibEach(m.Used.RSS-m.One.RSS, m.Mounts), m.Processes,
		SpreadOf(milliseconds(m.FirstMounts)).Median, SpreadOf(milliseconds(m.LastMounts)).Median)
}

func (r *Roles) table() string {
	if r == nil {
		return notMeasured
	}
	rows := [][]string{{"single client", "one role, ms", fmt.Sprintf("%d roles, ms", r.Roles), "ratio", "least", "most"}}
	for _, line := range []struct {
		name   string
		figure Figure
	}{{"p50", P50}, {"p99", P99}} {
		var one, many, ratio []float64
		for _, pair := range r.Pairs {
			a, b := line.figure(Round{Result: pair.One}), line.figure(Round{Result: pair.Many})
			one, many, ratio = append(one, a), append(many, b), append(ratio, b/a)
		}
		rows = append(rows, append([]string{
			line.name, median("%.2f")(SpreadOf(one), true), median("%.2f")(SpreadOf(many), true),
		}, spread(SpreadOf(ratio), true)...))
	}
	return grid(rows) + fmt.Sprintf("\nThe plugin's process has %s MiB before, %s MiB with all roles written, %s MiB with a login at each: %s KiB a role.\n",
		mib(r.Before.RSS), mib(r.Written.RSS), mib(r.Used.RSS), kibEach(r.Used.RSS-r.Before.RSS, r.Roles))
}

func (w *Writes) table() string {
	if w == nil {
		return notMeasured
	}
	rows := [][]string{{"storage", "writers", "", "roles/s", "p50 ms", "p99 ms", "vault µs", "plugin µs"}}
	text := ""
	for _, storage := range []struct {
		name   string
		rounds []Round
	}{{"files on " + w.Stamp.Storage, w.Rounds}, {"raft on " + w.Disk, w.Raft}} {
		for _, clients := range Concurrencies(storage.rounds) {
			for _, subject := range []Subject{BuiltIn, Plugin} {
				rows = append(rows, writesRow(storage.name, storage.rounds, subject, clients))
			}
			if ratio, ok := RatioOver(storage.rounds, clients, Side{Plugin, PerSecond}, Side{BuiltIn, PerSecond}); ok {
				text += fmt.Sprintf(" With %s and %d writers the plugin takes %.2f times the built-in's roles a second (%.2f to %.2f).",
					storage.name, clients, ratio.Median, ratio.Min, ratio.Max)
			}
		}
	}
	return grid(rows) + fmt.Sprintf("\nMedians of %d rounds; the columns in µs are CPU time a role.%s\n", countRounds(w.Rounds), text)
}

func writesRow(storage string, rounds []Round, subject Subject, clients int) []string {
	row := []string{storage, fmt.Sprint(clients), string(subject)}
	for _, column := range []struct {
		format string
		figure Figure
	}{{"%.0f", PerSecond}, {"%.2f", P50}, {"%.2f", P99}, {"%.0f", CPU(VaultProcess)}, {"%.0f", CPU(PluginProcess)}} {
		row = append(row, median(column.format)(spreadOver(rounds, subject, clients, column.figure)))
	}
	return row
}

func (e *Endurance) table() string {
	if e == nil {
		return notMeasured
	}
	rows := [][]string{{"the plugin's process, medians", "resident MiB", "threads", "open files", "goroutines"}}
	window := e.windowLogins()
	before, ok1 := e.Window(e.Baseline, e.Baseline+window)
	after, ok2 := e.Window(e.Result.Calls-window, e.Result.Calls)
	for _, from := range []int64{e.Baseline, e.Result.Calls - window} {
		row := []string{fmt.Sprintf("logins %d to %d", from, from+window), "", "", "", ""}
		if sizes, ok := e.Window(from, from+window); ok {
			row = []string{row[0], mib(int64(sizes.RSS))}
			for _, number := range []float64{sizes.Threads, sizes.Files, sizes.Goroutines} {
				row = append(row, fmt.Sprintf("%.0f", number))
			}
		}
		rows = append(rows, row)
	}
	change := "The change of memory was not measured."
	if ok1 && ok2 {
		change = fmt.Sprintf("Memory changed by %+.1f %%.", 100*(after.RSS/before.RSS-1))
	}
	return grid(rows) + fmt.Sprintf("\n%s %d logins in %.0f s, %s tokens, %d clients.\n",
		change, e.Result.Calls, e.Result.Elapsed.Seconds(), e.TokenType, e.Clients)
}

func (s *Start) table() string {
	if s == nil {
		return notMeasured
	}
	rows := [][]string{{"", "median ms", "least", "most"}}
	for _, line := range []struct {
		name  string
		times []float64
	}{
		{"from exec to handshake", milliseconds(s.Handshake)},
		{"first mount, which starts the process", milliseconds(s.FirstMount)},
		{"a further mount", milliseconds(s.FurtherMount)},
		{"a mount of the built-in method", milliseconds(s.BuiltInMount)},
		{"from a reload to the first answer", milliseconds(s.Reload)},
	} {
		if len(line.times) == 0 {
			continue
		}
		of := SpreadOf(line.times)
		rows = append(rows, []string{line.name, fmt.Sprintf("%.0f", of.Median), fmt.Sprintf("%.0f", of.Min), fmt.Sprintf("%.0f", of.Max)})
	}
	return grid(rows) + fmt.Sprintf("\nEach %d times.\n", len(s.Handshake))
}

func countRounds(rounds []Round) int {
	last := 0
	for _, r := range rounds {
		last = max(last, r.Round+1)
	}
	return last
}

func median(format string) func(Spread, bool) string {
	return func(s Spread, ok bool) string {
		if !ok {
			return ""
		}
		return fmt.Sprintf(format, s.Median)
	}
}

func spread(s Spread, ok bool) []string {
	if !ok {
		return []string{"", "", ""}
	}
	return []string{fmt.Sprintf("%.2f", s.Median), fmt.Sprintf("%.2f", s.Min), fmt.Sprintf("%.2f", s.Max)}
}

func footprint(name string, f proc.Footprint) []string {
	return []string{name, mib(f.RSS), fmt.Sprint(f.Threads), fmt.Sprint(f.Files)}
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }

func kibEach(bytes int64, n int) string {
	return fmt.Sprintf("%.1f", float64(bytes)/(1<<10)/float64(n))
}

// grid is a Markdown table that reads well as text too. Columns after the first two
// that are numbers are aligned to the right by their padding.
func grid(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var b strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if isNumber(cell) {
				cell = pad + cell
			} else {
				cell += pad
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
	}
	line(rows[0])
	for i, width := range widths {
		rule := strings.Repeat("-", width)
		if numbers(rows[1:], i) {
			rule = rule[1:] + ":"
		}
		b.WriteString("| " + rule + " ")
	}
	b.WriteString("|\n")
	for _, row := range rows[1:] {
		line(row)
	}
	return b.String()
}

func numbers(rows [][]string, column int) bool {
	for _, row := range rows {
		if row[column] != "" && !isNumber(row[column]) {
			return false
		}
	}
	return true
}

func isNumber(cell string) bool {
	return cell != "" && strings.Trim(cell, "0123456789.-") == ""
}
