package release

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	buildStep = regexp.MustCompile(`(?m)^RUN (.*)$`)
	imageGo   = regexp.MustCompile(`(?m)^FROM .*golang:(\d+\.\d+\.\d+) AS build$`)
)

// TestImage does what the Dockerfile's build does, with what .dockerignore leaves
// of the sources, and gets the release's binary.
func TestImage(t *testing.T) {
	b := bothBuilds(t)
	dockerfile, err := os.ReadFile(filepath.Join(b.clone, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	steps := buildStep.FindAllStringSubmatch(string(dockerfile), -1)
	if len(steps) != 1 {
		t.Fatalf("the Dockerfile has %d RUN lines; this test knows one", len(steps))
	}
	context, out := filepath.Join(scratch, "context"), filepath.Join(scratch, "plugins")
	sendContext(t, b.clone, context)
	command := strings.ReplaceAll(steps[0][1], "=/plugins", "='"+out+"'")
	system, arch, _ := strings.Cut(platform, "/")
	_, err = output(context, []string{
		"TARGETOS=" + system, "TARGETARCH=" + arch, "VERSION=" + tag, "SOURCE_DATE_EPOCH=1700000000",
	}, "sh", "-c", command)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sums(t, out)[artifact()], sums(t, b.first)[artifact()]; got != want {
		t.Errorf("the image's %s has the sum %q, the release's %q", artifact(), got, want)
	}
}

// sendContext copies what a build of the image gets to see: .dockerignore's
// patterns in their order, of which the last that matches counts.
func sendContext(t *testing.T, from, to string) {
	t.Helper()
	patterns, err := os.ReadFile(filepath.Join(from, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	tracked, err := output(from, nil, "git", "ls-files")
	if err != nil {
		t.Fatal(err)
	}
	for file := range strings.Lines(tracked) {
		file = strings.TrimSpace(file)
		if ignored(t, string(patterns), file) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, file))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, file)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, file), content, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func ignored(t *testing.T, patterns, file string) (is bool) {
	t.Helper()
	for pattern := range strings.Lines(patterns) {
		pattern = strings.TrimSpace(pattern)
		if pattern == "" || strings.HasPrefix(pattern, "#") {
			continue
		}
		pattern, include := strings.CutPrefix(pattern, "!")
		// A pattern that matches a folder matches all that is in it.
		for path := file; path != "."; path = filepath.Dir(path) {
			matched, err := filepath.Match(pattern, path)
			if err != nil {
				t.Fatal(err)
			}
			if matched {
				is = !include
			}
		}
	}
	return is
}

// TestImageGo keeps the image's compiler from falling behind what go.mod asks for.
func TestImageGo(t *testing.T) {
	requireGit(t)
	dir, err := clone("image-go")
	if err != nil {
		t.Fatal(err)
	}
	dockerfile, err1 := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	gomod, err2 := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	image := imageGo.FindSubmatch(dockerfile)
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(gomod)
	if image == nil || wanted == nil || !strings.HasPrefix(string(image[1]), string(wanted[1])+".") {
		t.Errorf("the image builds with Go %s, go.mod asks for %s", image, wanted)
	}
}
