package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

var updateGolden = flag.Bool("update-golden", false, "write what explain answers now to testdata/explain")

// volatile is what differs from run to run in the answers of explain.
var volatile = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`\buid-[A-Za-z0-9]+`), "UID"},
	{regexp.MustCompile(`(127\.0\.0\.1|\[::1\]):[0-9]+`), "HOST"},
	{regexp.MustCompile(`/\S+/(ca\.crt|token)\b`), "FOLDER/$1"},
	{regexp.MustCompile(`:rules:[0-9a-f]{32}`), ":rules:HASH"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`[0-9.]+(ns|µs|ms)\b`), "DURATION"},
}

func settled(answer fields) string {
	text, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		panic(err) // what answers hold always marshals
	}
	for _, v := range volatile {
		text = v.pattern.ReplaceAll(text, []byte(v.stands))
	}
	return string(text)
}

// goldenFile is where the answers to the tests of one table stand.
func goldenFile(test string) string {
	table, _, _ := strings.Cut(test, "/")
	return "testdata/explain/" + table + ".json"
}

// goldens are the answers by file and test, read once.
type goldens struct {
	mu     sync.Mutex
	byFile map[string]map[string][]json.RawMessage
	asked  map[string]int
}

var explainGoldens = goldens{byFile: map[string]map[string][]json.RawMessage{}, asked: map[string]int{}}

// wantGolden holds the answers to the tests of explain to what they were.
func (m *mount) wantGolden(o outcome) {
	m.t.Helper()
	if strings.HasPrefix(m.t.Name(), "TestExplain") && o.status == http.StatusOK {
		explainGoldens.want(m.t, o.data)
	}
}

// want compares an answer of explain with the one that the same test had before, word
// for word.
func (g *goldens) want(t testing.TB, answer fields) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	file, name := goldenFile(t.Name()), t.Name()
	if g.byFile[file] == nil {
		g.byFile[file] = readGoldens(t, file)
	}
	at, got := g.asked[name], settled(answer)
	g.asked[name]++
	if at == 0 {
		t.Cleanup(func() { // for -count=2
			g.mu.Lock()
			defer g.mu.Unlock()
			delete(g.asked, name)
		})
	}
	if *updateGolden {
		kept := g.byFile[file]
		if at == 0 {
			kept[name] = nil
		}
		kept[name] = append(kept[name], json.RawMessage(got))
		g.write(t, file)
		return
	}
	known := g.byFile[file][name]
	if at >= len(known) {
		t.Errorf("explain answers what %s has no answer of; go test . -run %s -update-golden writes it:\n%s", file, t.Name(), got)
		return
	}
	var was bytes.Buffer
	if err := json.Indent(&was, known[at], "", "  "); err != nil {
		t.Fatal(err)
	}
	if got != was.String() {
		t.Errorf("explain answers\n%s\nwhere it did\n%s", got, was.String())
	}
}

func readGoldens(t testing.TB, file string) map[string][]json.RawMessage {
	t.Helper()
	all := map[string][]json.RawMessage{}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(fmt.Errorf("%s: %w", file, err))
	}
	return all
}

func (g *goldens) write(t testing.TB, file string) {
	t.Helper()
	text, err := json.MarshalIndent(g.byFile[file], "", "  ")
	if err == nil {
		err = os.MkdirAll("testdata/explain", 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
