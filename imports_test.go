package main

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const ourModule = "vault-plugin-auth-kubernetes"

// imports are the packages of ours that each of ours imports, by go list; the root is "main".
func imports(t *testing.T) map[string][]string {
	t.Helper()
	listing := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	out, err := listing.Output()
	if err != nil {
		t.Fatal(err)
	}
	short := func(path string) (name string, ours bool) {
		if path == ourModule {
			return "main", true
		}
		return strings.CutPrefix(path, ourModule+"/internal/")
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from, ours := short(words[0])
		if !ours || from == "kubetest" || from == "logtest" || from == "consultest" {
			continue // fakes are for tests
		}
		all[from] = nil
		for _, path := range words[1:] {
			if to, ours := short(path); ours {
				all[from] = append(all[from], to)
			}
		}
	}
	return all
}

// reduced leaves out what is imported by way of another import as well, so that a picture of
// it can be read: who may reach whom is the same.
func reduced(all map[string][]string) map[string][]string {
	var reaches func(from, to string) bool
	reaches = func(from, to string) bool {
		return slices.ContainsFunc(all[from], func(next string) bool { return next == to || reaches(next, to) })
	}
	left := map[string][]string{}
	for from, direct := range all {
		for _, to := range direct {
			if !slices.ContainsFunc(direct, func(other string) bool { return other != to && reaches(other, to) }) {
				left[from] = append(left[from], to)
			}
		}
	}
	return left
}

// The picture of who imports whom is that of the code, and the map has every package.
func TestImportsAreDocumented(t *testing.T) {
	const file = "docs/architecture.md"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := imports(t)
	var picture strings.Builder
	less := reduced(all)
	for _, from := range slices.Sorted(maps.Keys(less)) {
		slices.Sort(less[from])
		picture.WriteString("    " + from + " --> " + strings.Join(less[from], " & ") + "\n")
	}
	if !strings.Contains(string(content), "flowchart TD\n"+picture.String()+"```\n") {
		t.Errorf("%s has not this picture of who imports whom:\n%s", file, picture.String())
	}
	for name := range all {
		if name != "main" && !strings.Contains(string(content), "\ninternal/"+name+"/ ") {
			t.Errorf("%s: the map does not have internal/%s/", file, name)
		}
	}
	here, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range here {
		if name := entry.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && !strings.Contains(string(content), "\n"+name+" ") {
			t.Errorf("%s: the map does not have %s", file, name)
		}
	}
}
