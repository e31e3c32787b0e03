package release

import (
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

var (
	buildStep = regexp.MustCompile(`(?m)^RUN (.*)$`)
	imageGo   = regexp.MustCompile(`(?m)^FROM .*golang:(\d+\.\d+\.\d+) AS build$`)
)

// TestImage does what the Dockerfile's build does, with what .dockerignore leaves
// of the sources, and gets the release's binary.
func TestImage(t *testing.T) {
	b := bothBuilds(t)
	out := buildImage(t, b.clone, platform)
	if got, want := sums(t, out)[artifact()], sums(t, b.first)[artifact()]; got != want {
		t.Errorf("the image's %s has the sum %q, the release's %q", artifact(), got, want)
	}
}

// TestImageOfAnotherPlatform builds for a platform that is not this machine's, as
// docker build --platform does.
func TestImageOfAnotherPlatform(t *testing.T) {
	b := bothBuilds(t)
	other, machine := "linux/arm64", elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		other, machine = "linux/amd64", elf.EM_X86_64
	}
	out := buildImage(t, b.clone, other)
	for name := range sums(t, out) {
		if !strings.HasPrefix(name, testbed.PluginName) || strings.HasSuffix(name, ".json") {
			continue
		}
		file, err := elf.Open(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if file.Machine != machine || !strings.HasSuffix(name, strings.ReplaceAll(other, "/", "_")) {
			t.Errorf("the image for %s holds %s, a binary for %s", other, name, file.Machine)
		}
		return
	}
	t.Errorf("the image for %s holds no binary: %v", other, sums(t, out))
}

// buildImage runs the build step of the Dockerfile as BuildKit does for a platform, and
// returns what would be in /plugins.
func buildImage(t *testing.T, clone, platform string) (plugins string) {
	t.Helper()
	dockerfile, err := os.ReadFile(filepath.Join(clone, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	steps := buildStep.FindAllStringSubmatch(string(dockerfile), -1)
	if len(steps) != 1 {
		t.Fatalf("the Dockerfile has %d RUN lines; this test knows one", len(steps))
	}
	name := strings.ReplaceAll(platform, "/", "-")
	context, out := filepath.Join(scratch, "context-"+name), filepath.Join(scratch, "plugins-"+name)
	sendContext(t, clone, context)
	command := strings.ReplaceAll(steps[0][1], "=/plugins", "='"+out+"'")
	system, arch, _ := strings.Cut(platform, "/")
	passed := map[string]string{"TARGETOS": system, "TARGETARCH": arch}
	asked := map[string]string{"VERSION": tag, "SOURCE_DATE_EPOCH": "1700000000"}
	if _, err = output(context, arguments(string(dockerfile), passed, asked), "sh", "-c", command); err != nil {
		t.Fatal(err)
	}
	return out
}

var argument = regexp.MustCompile(`(?m)^ARG (\w+)(?:=(.*))?$`)

// arguments are the variables that the ARG lines declare, with BuildKit's values: one that
// --build-arg asks for counts, then one that is written in the Dockerfile, then the one that
// BuildKit passes by itself. What no line declares is not there.
func arguments(dockerfile string, passed, asked map[string]string) (env []string) {
	for _, match := range argument.FindAllStringSubmatch(dockerfile, -1) {
		name, value := match[1], match[2]
		if value == "" {
			value = passed[name]
		}
		if given, is := asked[name]; is {
			value = given
		}
		env = append(env, name+"="+value)
	}
	return env
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
