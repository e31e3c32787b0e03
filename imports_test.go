package main

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// A file that is longer than others has a reason, which stands beside the map.
func TestLongFilesHaveAReason(t *testing.T) {
	const file, most, median = "docs/architecture.md", 250, 120
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, reasons, _ := strings.Cut(string(content), "\n## Long files\n")
	reasons, _, _ = strings.Cut(reasons, "\n## ")
	var lengths []int
	long := map[string]bool{}
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "build" || name == "node_modules"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(path)
			lines := strings.Count(string(text), "\n")
			lengths = append(lengths, lines)
			long[filepath.ToSlash(path)] = lines > most
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, isLong := range long {
		if named := regexp.MustCompile(`[| ]` + regexp.QuoteMeta(path) + `[, ]`).MatchString(reasons); named != isLong {
			t.Errorf("%s: %s is longer than %d lines: %t; it is named: %t", file, path, most, isLong, named)
		}
	}
	slices.Sort(lengths)
	if got := lengths[len(lengths)/2]; got > median {
		t.Errorf("the median of %d files is %d lines, want %d at most", len(lengths), got, median)
	}
}
