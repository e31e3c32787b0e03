package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// sayings are what the plugin said of wrong set-ups.
type sayings struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *sayings) add(answers ...fields) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, answer := range answers {
		for key, value := range answer {
			fmt.Fprintf(&s.text, "%s  %v\n", key, value)
		}
	}
}

// symptom is what a row of a table in the documentation begins with.
var symptom = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// checkTroubleshooting wants each symptom that the documentation has of logins to be one
// that somebody was shown.
func checkTroubleshooting(t *testing.T, said *sayings) {
	t.Helper()
	log, err := os.ReadFile(bed.Vault.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	all := said.text.String() + string(log)
	logins, _ := troubleshooting(t)
	if rows := wantSaid(t, logins, all); rows < 30 {
		t.Errorf("only %d symptoms; the pattern must be wrong", rows)
	}
	if path := os.Getenv("SAYINGS"); path != "" {
		if err := os.WriteFile(path, []byte(all), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// startHeading begins what Vault says when it cannot run the plugin.
const startHeading = "\n## When the plugin does not start\n"

// troubleshooting is what the documentation has of logins, and of the plugin's start.
func troubleshooting(t *testing.T) (logins, start string) {
	t.Helper()
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(doc), startHeading)
	if !found {
		t.Fatalf("docs/troubleshooting.md has no %q", startHeading)
	}
	start, rest, _ := strings.Cut(after, "\n## ")
	return before + rest, start
}

// wantSaid wants each symptom of a text to have been said, word for word; … stands for what
// differs from place to place. It returns how many there are.
func wantSaid(t *testing.T, text, all string) int {
	t.Helper()
	symptoms := symptom.FindAllStringSubmatch(text, -1)
	for _, match := range symptoms {
		var pattern []string
		for part := range strings.SplitSeq(match[1], "…") {
			pattern = append(pattern, regexp.QuoteMeta(part))
		}
		if !regexp.MustCompile(strings.Join(pattern, "[^\\n]*")).MatchString(all) {
			t.Errorf("nothing said %q", match[1])
		}
	}
	return len(symptoms)
}
