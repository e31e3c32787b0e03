package release

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

func TestSameCommitSameBytes(t *testing.T) {
	b := bothBuilds(t)
	first, second := sums(t, b.first), sums(t, b.second)
	// The plugin, its bill of materials, the sums and the page on registering.
	if len(first) < 4 {
		t.Errorf("a release has only %d files: %v", len(first), first)
	}
	for name, sum := range first {
		if second[name] != sum {
			t.Errorf("%s has the sum %s, and %q when built again", name, sum, second[name])
		}
	}
	if len(second) != len(first) {
		t.Errorf("the first build made %v, the second %v", first, second)
	}
}

func TestSums(t *testing.T) {
	b := bothBuilds(t)
	listed, err := os.ReadFile(filepath.Join(b.first, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	want := sums(t, b.first)
	delete(want, "SHA256SUMS")
	for line := range strings.Lines(string(listed)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if want[name] != sum {
			t.Errorf("SHA256SUMS has %s for %q, which has %q", sum, name, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not in SHA256SUMS: %v", want)
	}
}

func TestVersionIsTheTag(t *testing.T) {
	b := bothBuilds(t)
	got, err := output(b.first, nil, "./"+artifact(), "-version")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(got) != tag {
		t.Errorf("the plugin says that it is %q, the tag is %q", got, tag)
	}
}

// TestNothingOfTheMachine looks for paths in all files, and for settings of the
// second build in what the linker noted.
func TestNothingOfTheMachine(t *testing.T) {
	b := bothBuilds(t)
	for name := range sums(t, b.second) {
		content, err := os.ReadFile(filepath.Join(b.second, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range b.paths {
			if bytes.Contains(content, []byte(path)) {
				t.Errorf("%s has the path %s", name, path)
			}
		}
	}
	for _, setting := range []string{"vcs", "-gcflags", "-tags", "GOAMD64=v3", "CGO_ENABLED=1"} {
		if noted := buildInfo(t, b.second); strings.Contains(noted, "build\t"+setting) {
			t.Errorf("%s is in what the linker noted:\n%s", setting, noted)
		}
	}
}

func TestStatic(t *testing.T) {
	b := bothBuilds(t)
	if runtime.GOOS != "linux" {
		t.Skip("looks at an ELF file; this is", runtime.GOOS)
	}
	file, err := elf.Open(filepath.Join(b.first, artifact()))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("linked dynamically: %v", p.Type)
		}
	}
	if file.Section(".debug_info") != nil {
		t.Error("has debug information")
	}
}

func TestBillOfMaterials(t *testing.T) {
	b := bothBuilds(t)
	text, err := os.ReadFile(filepath.Join(b.first, artifact()+".cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bill struct {
		Format   string `json:"bomFormat"`
		Metadata struct {
			Component struct {
				Version string
				Hashes  []struct{ Content string }
			}
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(text, &bill); err != nil {
		t.Fatal(err)
	}
	program := bill.Metadata.Component
	if bill.Format != "CycloneDX" || program.Version != tag || len(program.Hashes) != 1 || program.Hashes[0].Content != sums(t, b.first)[artifact()] {
		t.Errorf("the bill is one of %+v", bill.Metadata)
	}
	var listed []string
	for _, c := range bill.Components {
		listed = append(listed, c.Name+" "+c.Version)
	}
	want := []string{"std " + strings.TrimPrefix(runtime.Version(), "go")}
	for _, dep := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(buildInfo(t, b.first), -1) {
		want = append(want, dep[1]+" "+dep[2])
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("the bill has\n%q\nand the linker noted\n%q", listed, want)
	}
	if len(want) < 20 {
		t.Errorf("go version -m has only %q; the pattern must be wrong", want)
	}
}

func TestVersions(t *testing.T) {
	requireGit(t)
	dir, err := clone("versions")
	if err != nil {
		t.Fatal(err)
	}
	expect := func(pattern string, env ...string) {
		t.Helper()
		got, err := output(dir, env, "scripts/release.sh", "-print-version")
		if err != nil || !regexp.MustCompile("^"+pattern+"\n$").MatchString(got) {
			t.Errorf("with %q the version is %q (%v), want %s", env, got, err, pattern)
		}
	}
	expect(regexp.QuoteMeta(tag))
	expect(`v1\.2\.3`, "VERSION=v1.2.3")
	if _, err := output(dir, nil, "git", "tag", "-d", tag); err != nil {
		t.Fatal(err)
	}
	// Other tags of the same commit, such as of a real release, would count.
	if tags, err := output(dir, nil, "git", "tag", "--points-at", "HEAD"); err == nil && strings.TrimSpace(tags) == "" {
		expect(`v\d+\.\d+\.\d+-dev\.\d{14}\.g[0-9a-f]{12}`)
	}
}

func TestRefusesToRelease(t *testing.T) {
	requireGit(t)
	for name, row := range map[string]struct {
		prepare func(dir string) error
		env     []string
		says    string
	}{
		"a changed file": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n"), 0o600)
		}, nil, "changes that no commit has"},
		"a new file": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "more.go"), []byte("package main\n"), 0o600)
		}, nil, "changes that no commit has"},
		"a version without v":       {nil, []string{"VERSION=1.2.3"}, "not like v1.2.3"},
		"a version that is a flag":  {nil, []string{"VERSION=v1.2.3 -X main.other=1"}, "not like v1.2.3"},
		"an export without version": {exported, nil, "set VERSION"},
		"an export without a time":  {exported, []string{"VERSION=v1.2.3"}, "SOURCE_DATE_EPOCH"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := clone(filepath.Join("refuses", name))
			if err == nil && row.prepare != nil {
				err = row.prepare(dir)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = output(dir, row.env, "scripts/release.sh")
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("the error is %v, want one with %q", err, row.says)
			}
			if _, err := os.Stat(filepath.Join(dir, "build")); err == nil {
				t.Error("something was built")
			}
		})
	}
}

// TestReleaseDir makes a release where other files are, twice: what the first made goes,
// and nothing else. A file of another program's that it would overwrite is refused.
func TestReleaseDir(t *testing.T) {
	b := bothBuilds(t)
	home := t.TempDir()
	mine := map[string]string{
		"notes.txt":                       "mine",
		testbed.PluginName + "_v0.0.0.md": "mine, though it has the plugin's name",
		".profile":                        "mine",
	}
	for name, text := range mine {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(home, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v0.0.2-old", tag} {
		if err := release(b.clone, "RELEASE_DIR="+home, "VERSION="+version); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"folder"}
	for name, text := range mine {
		want = append(want, name)
		if got, err := os.ReadFile(filepath.Join(home, name)); err != nil || string(got) != text {
			t.Errorf("%s has %q (%v)", name, got, err)
		}
	}
	for name := range sums(t, b.first) {
		want = append(want, name)
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if slices.Sort(want); !slices.Equal(names, want) {
		t.Errorf("the folder has\n%q\nwant\n%q", names, want)
	}
	foreign := "0000000000000000000000000000000000000000000000000000000000000000  debian.iso\n"
	if err := os.WriteFile(filepath.Join(home, "SHA256SUMS"), []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := release(b.clone, "RELEASE_DIR="+home); err == nil || !strings.Contains(err.Error(), "is of no release of this plugin") {
		t.Errorf("with somebody else's SHA256SUMS the error is %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(home, "SHA256SUMS")); err != nil || string(got) != foreign {
		t.Errorf("somebody else's SHA256SUMS has %q (%v)", got, err)
	}
}

// exported makes a folder of sources out of a clone.
func exported(dir string) error { return os.RemoveAll(filepath.Join(dir, ".git")) }

func buildInfo(t *testing.T, dir string) string {
	t.Helper()
	noted, err := output(dir, nil, "go", "version", "-m", artifact())
	if err != nil {
		t.Fatal(err)
	}
	return noted
}

// sums are the SHA-256 of the files in a folder, by name.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		if all[entry.Name()], err = testbed.SHA256(filepath.Join(dir, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
