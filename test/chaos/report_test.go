package chaos_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/chaos"
)

func section(ours float64) chaos.Section {
	return chaos.Section{
		Began: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Length: "30s", Machine: "2 cores", Plugin: "v1",
		Columns: []chaos.Column{{Title: "logins"}, {Title: "ms", Decimals: 1}},
		Rows:    []chaos.Row{{What: "resets", Ours: []float64{ours, chaos.None}, Theirs: []float64{2, 3.25}}},
	}
}

func TestFill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	for _, ours := range []float64{1, 4} { // the second replaces the first
		if err := chaos.Put(file, "sick", section(ours)); err != nil {
			t.Fatal(err)
		}
	}
	report, err := chaos.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := chaos.Fill("before\n<!-- chaos:sick -->\nold\n<!-- /chaos -->\n<!-- chaos:well -->\n<!-- /chaos -->\n", report)
	want := "before\n<!-- chaos:sick -->\n| what | logins | ms |\n|---|--:|--:|\n| resets | 4 / 2 | – / 3.2 |\n" +
		"\n30s each, 2026-01-02; 2 cores; plugin v1.\n<!-- /chaos -->\n<!-- chaos:well -->\nNot measured yet.\n<!-- /chaos -->\n"
	if err != nil || got != want {
		t.Errorf("%v, %q, want %q", err, got, want)
	}
	for name, document := range map[string]string{
		"no place":         "text",
		"another":          "<!-- chaos:well -->\n<!-- /chaos -->",
		"two of one table": strings.Repeat("<!-- chaos:sick -->\n<!-- /chaos -->", 2),
	} {
		if _, err := chaos.Fill(document, report); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestDocument compares the page with the figures that it shows: neither changes alone.
func TestDocument(t *testing.T) {
	report, err := chaos.Read(filepath.Join("results", "latest.json"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "chaos.md"))
	if err != nil {
		t.Fatal(err)
	}
	if filled, err := chaos.Fill(string(content), report); err != nil || filled != string(content) {
		t.Errorf("docs/chaos.md is not what test/chaos/results/latest.json makes of it (%v); run go run -C test ./cmd/chaos", err)
	}
}
