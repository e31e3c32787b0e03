package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

var (
	shellBlock  = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")
	makeCommand = regexp.MustCompile(`^make ([a-z-]+)( [A-Z_]+=.*)?$`)
)

// TestDocs runs the commands of the documentation, document by document and in
// their order, as a reader would in one shell. A block that calls make is not run,
// since it would run this test again; its targets have to exist.
func TestDocs(t *testing.T) {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	// The README comes first: it registers the plugin and shows the first login.
	docs = append([]string{filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")}, docs...)
	vault := newServer(t).Vault // some commands register and reload
	ran := 0
	for _, doc := range docs {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		commands := shellCommands(t, root, string(text))
		if commands == "" {
			continue
		}
		ran++
		t.Run(filepath.Base(doc), func(t *testing.T) { runAsReader(t, vault, root, commands) })
	}
	if ran == 0 {
		t.Fatal("no document has a command; the pattern for blocks must be wrong")
	}
}

// TestTestsInDocsExist keeps the documentation from resting on tests that are gone.
func TestTestsInDocsExist(t *testing.T) {
	t.Parallel()
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "internal/*/*_test.go", "test/*/*_test.go", "test/*/*/*_test.go"} {
		for _, text := range contents(t, filepath.Join(root, pattern)) {
			for _, match := range testFunction.FindAllStringSubmatch(text, -1) {
				defined[match[1]] = true
			}
		}
	}
	named := 0
	for doc, text := range contents(t, filepath.Join(root, "docs", "*.md")) {
		for _, match := range testName.FindAllStringSubmatch(text, -1) {
			if named++; !defined[match[1]] {
				t.Errorf("%s names %s, which does not exist", filepath.Base(doc), match[1])
			}
		}
	}
	if named == 0 {
		t.Error("no document names a test; the pattern must be wrong")
	}
}

var (
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	testName     = regexp.MustCompile("`(Test\\w+)`")
)

func contents(t *testing.T, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	return texts
}

// shellCommands returns the commands of a document that can be run here.
func shellCommands(t *testing.T, root, text string) string {
	var commands strings.Builder
	for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
		isMake := false
		for line := range strings.Lines(block[1]) {
			if target := makeCommand.FindStringSubmatch(strings.TrimSpace(line)); target != nil {
				isMake = true
				checkTarget(t, root, target[1])
			}
		}
		if !isMake && !strings.HasPrefix(block[1], "go test ") {
			commands.WriteString(block[1])
		}
	}
	return commands.String()
}

func checkTarget(t *testing.T, root, target string) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).Match(makefile) {
		t.Errorf("the documentation calls make %s, which the Makefile does not have", target)
	}
}

// runAsReader runs commands in a clean folder that looks like the repository after
// make build, with Vault's own method mounted at auth/kubernetes as on a server that
// is to be switched over.
func runAsReader(t *testing.T, vault *testbed.Vault, root, commands string) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "build"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(bed.PluginBinary, filepath.Join(dir, "build", testbed.PluginName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "deploy"), filepath.Join(dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	script := "set -euxo pipefail\n" +
		"vault read sys/auth/kubernetes >mounted 2>&1 || vault auth enable kubernetes\n" + commands
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(bed.EnvFor(vault), "HOME="+dir, "PLUGIN_DIRECTORY="+vault.PluginDir)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, output.String())
	}
}
