package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDemoNeedsAWord has make print what it would run: a shell that works with a cluster and a Vault has both variables
// exported. The demo must not write there unless it is told to on the command line.
func TestDemoNeedsAWord(t *testing.T) {
	root, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	const theirs, itsOwn = "exec scripts/demo.sh", "exec /bin/echo run"
	for _, tt := range []struct {
		name, want string
		env, args  []string
	}{
		{"nothing is set", itsOwn, nil, nil},
		{"both are exported", itsOwn, []string{"KUBECONFIG=/k", "VAULT_ADDR=http://v"}, nil},
		{"the word is exported as well", itsOwn, []string{"KUBECONFIG=/k", "VAULT_ADDR=http://v", "MINE=1"}, nil},
		{"the word is empty", itsOwn, []string{"KUBECONFIG=/k", "VAULT_ADDR=http://v"}, []string{"MINE="}},
		{"the word is said", theirs, []string{"KUBECONFIG=/k", "VAULT_ADDR=http://v"}, []string{"MINE=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "make", append([]string{"-n", "demo", "GO=true", "TESTBED=/bin/echo"}, tt.args...)...)
			cmd.Dir = root
			for _, kv := range os.Environ() {
				if name, _, _ := strings.Cut(kv, "="); name != "KUBECONFIG" && name != "VAULT_ADDR" && name != "MAKEFLAGS" && name != "MFLAGS" {
					cmd.Env = append(cmd.Env, kv)
				}
			}
			cmd.Env = append(cmd.Env, tt.env...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if other := map[string]string{theirs: itsOwn, itsOwn: theirs}[tt.want]; !strings.Contains(string(out), tt.want) || strings.Contains(string(out), other) {
				t.Errorf("make demo would run\n%s", out)
			}
		})
	}
}

// TestDemoRulesAreTheDemos keeps the demo's rules from granting anything to service
// accounts of a cluster in which somebody works.
func TestDemoRulesAreTheDemos(t *testing.T) {
	root, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(root, "scripts", "lib.sh"))
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`(?m)/binding-rule/.*\n.*$`).FindAllString(string(script), -1)
	if len(rules) < 2 {
		t.Fatalf("the demo has the rules %q; the pattern must be wrong", rules)
	}
	for _, rule := range rules {
		if !strings.Contains(rule, `selector="serviceaccount.namespace == \"$id\"`) {
			t.Errorf("for other namespaces than the demo's own:\n%s", rule)
		}
	}
}
