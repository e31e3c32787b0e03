package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/chaos"
)

// The chaos suite runs treatments one after the other and measures them with -chaos, as
// make chaos does; without it all go at once and for a short time, and what does not
// depend on the machine is asserted.
var (
	chaosLong = flag.Bool("chaos", false, "run the long form of the chaos suite")
	chaosFor  = flag.Duration("chaos.for", 30*time.Second, "how long each treatment lasts in the long form")
	chaosSoak = flag.Duration("chaos.soak", 10*time.Minute, "how long the soak of the long form lasts")
	chaosOut  = flag.String("chaos.out", "", "file for the results of the long form")
)

// onlyLong skips what takes minutes.
func onlyLong(t *testing.T) {
	t.Helper()
	if !*chaosLong {
		t.Skip("it measures, for minutes: make chaos runs it")
	}
}

// methods are what is compared, this plugin first.
var methods = []string{ours, builtIn}

// table collects a section while it is measured.
type table struct {
	name    string
	section chaos.Section
}

func newTable(t *testing.T, name string, lasting time.Duration, columns ...chaos.Column) *table {
	t.Helper()
	model := "unknown processor"
	content, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	revision, err := exec.CommandContext(t.Context(), "git", "log", "-1", "--format=%h", "--", ":(glob)../../*.go", "../../internal", "../../go.mod").Output()
	if err != nil {
		t.Logf("the revision is not known: %v", err)
	}
	return &table{name: name, section: chaos.Section{
		Began: time.Now().UTC(), Length: lasting.String(), Columns: columns,
		Machine: fmt.Sprintf("%d cores (%s)", runtime.NumCPU(), model),
		Plugin:  strings.TrimSpace(bed.PluginVersion + " " + string(revision)),
	}}
}

// add notes the figures of one method for one treatment.
func (b *table) add(what, method string, figures ...float64) {
	rows := &b.section.Rows
	at := slices.IndexFunc(*rows, func(r chaos.Row) bool { return r.What == what })
	if at < 0 {
		at = len(*rows)
		*rows = append(*rows, chaos.Row{What: what})
	}
	row := &(*rows)[at]
	if method == ours {
		row.Ours = figures
	} else {
		row.Theirs = figures
	}
}

// keep shows the table, and writes it to the file of the results if there is one.
func (b *table) keep(t *testing.T) {
	t.Helper()
	t.Logf("each cell: this plugin / Vault's own method\n%s", b.section.Table())
	if *chaosOut == "" {
		return
	}
	if err := chaos.Put(*chaosOut, b.name, b.section); err != nil {
		t.Error(err)
	}
}

// ms is a duration as a figure.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
