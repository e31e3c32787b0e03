package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

var updateGolden = flag.Bool("update-golden", false, "write what explain answers to the wrong set-ups to "+goldenFile)

const goldenFile = "testdata/diagnose.json"

// volatile is what differs from run to run in what explain says of a wrong set-up.
var volatile = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`\btest-[a-z0-9]{5}\b`), "NAMESPACE"},
	{regexp.MustCompile(`\bvault-reviewer-[a-z0-9]{10}\b`), "USER"},
	{regexp.MustCompile(`(127\.0\.0\.1|localhost|\[::1\]|\[::\]|\*):[0-9]+`), "HOST"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [+-]\d{4} UTC)?`), "TIME"},
	{regexp.MustCompile(`\b([0-9.]+(h|m|s|ms|µs|ns))+\b`), "DURATION"},
}

// goldens are the explanations of all rows, as the file has them.
type goldens struct {
	mu     sync.Mutex
	byName map[string]json.RawMessage
}

var diagnoseGoldens goldens

// wantGolden holds what explain says of a row to what it said before, word for word.
func wantGolden(t *testing.T, f *fixture, explanation fields) {
	t.Helper()
	got, name := settled(f, explanation), strings.TrimPrefix(t.Name(), "TestDiagnose/rows/")
	g := &diagnoseGoldens
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byName == nil {
		g.read(t)
	}
	if *updateGolden {
		g.byName[name] = json.RawMessage(got)
		g.write(t)
		return
	}
	var was bytes.Buffer
	if known, ok := g.byName[name]; ok {
		if err := json.Indent(&was, known, "", "  "); err != nil {
			t.Fatal(err)
		}
	}
	if got != was.String() {
		t.Errorf("explain answers\n%s\nwhere it did\n%s\nIf that is meant: go test -C test ./e2e -run TestDiagnose -update-golden", got, was.String())
	}
}

// settled is an explanation without what differs from run to run.
func settled(f *fixture, explanation fields) string {
	f.t.Helper()
	text, err := json.MarshalIndent(explanation, "", "  ")
	if err != nil {
		f.t.Fatal(err)
	}
	own := strings.NewReplacer(f.mounts.ours.path, "MOUNT", f.account.namespace, "NAMESPACE")
	text = []byte(own.Replace(string(text)))
	for _, v := range volatile {
		text = v.pattern.ReplaceAll(text, []byte(v.stands))
	}
	return string(text)
}

func (g *goldens) read(t testing.TB) {
	t.Helper()
	g.byName = map[string]json.RawMessage{}
	text, err := os.ReadFile(goldenFile)
	if err == nil {
		err = json.Unmarshal(text, &g.byName)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

func (g *goldens) write(t testing.TB) {
	t.Helper()
	text, err := json.MarshalIndent(g.byName, "", "  ")
	if err == nil {
		err = os.WriteFile(goldenFile, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
