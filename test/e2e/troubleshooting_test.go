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

// checkTroubleshooting wants each symptom that the documentation has to be one that
// somebody was shown, word for word; … stands for what differs from place to place.
func checkTroubleshooting(t *testing.T, said *sayings) {
	t.Helper()
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	doc, err1 := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	log, err2 := os.ReadFile(bed.Vault.LogPath)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	all := said.text.String() + string(log)
	symptoms := symptom.FindAllStringSubmatch(string(doc), -1)
	if len(symptoms) < 30 {
		t.Errorf("only %d symptoms; the pattern must be wrong", len(symptoms))
	}
	for _, match := range symptoms {
		var pattern []string
		for part := range strings.SplitSeq(match[1], "…") {
			pattern = append(pattern, regexp.QuoteMeta(part))
		}
		if !regexp.MustCompile(strings.Join(pattern, "[^\\n]*")).MatchString(all) {
			t.Errorf("nothing said %q", match[1])
		}
	}
	if path := os.Getenv("SAYINGS"); path != "" {
		if err := os.WriteFile(path, []byte(all), 0o600); err != nil {
			t.Error(err)
		}
	}
}
