package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDemoNeedsAWord has make print what it would run: a shell that works with a cluster and a Vault has both variables
// exported. The demo must not write there unless it is told to on the command line.
func TestDemoNeedsAWord(t *testing.T) {
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
			out := demoCommands(t, tt.env, tt.args)
			if other := map[string]string{theirs: itsOwn, itsOwn: theirs}[tt.want]; !strings.Contains(out, tt.want) || strings.Contains(out, other) {
				t.Errorf("make demo would run\n%s", out)
			}
		})
	}
}

// TestDemoBuildsConsulForAWord lets the demo take minutes only for who asked for it.
func TestDemoBuildsConsulForAWord(t *testing.T) {
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"/bin/echo run  -consul=built scripts/demo.sh", nil},
		{"/bin/echo run  -consul=build scripts/demo.sh", []string{"CONSUL=1"}},
		{"/bin/echo run -web -consul=build scripts/demo.sh", []string{"CONSUL=1", "WEB=1"}},
	} {
		if out := demoCommands(t, nil, tt.args); !strings.Contains(out, tt.want) {
			t.Errorf("make demo %q would run\n%s", tt.args, out)
		}
	}
}

// demoCommands is what make demo would run.
func demoCommands(t *testing.T, env, args []string) string {
	t.Helper()
	root, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"-n", "demo", "GO=true", "TESTBED=/bin/echo"}, args...)...)
	cmd.Dir = root
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{"KUBECONFIG", "VAULT_ADDR", "CONSUL", "WEB", "MAKEFLAGS", "MFLAGS"}, name)
	})
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
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
	if len(rules) < 3 {
		t.Fatalf("the demo has the rules %q; the pattern must be wrong", rules)
	}
	for _, rule := range rules {
		if !strings.Contains(rule, `selector="serviceaccount.namespace == \"$id\"`) {
			t.Errorf("for other namespaces than the demo's own:\n%s", rule)
		}
	}
}
