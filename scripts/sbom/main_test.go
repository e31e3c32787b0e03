package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func TestBillOf(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "example.com/program", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "example.com/z", Version: "v1.0.0", Sum: "h1:z="},
			{Path: "example.com/a", Version: "v2.0.0+incompatible"},
			{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1", Sum: "h1:fork="}},
			{Path: "example.com/folder", Version: "v1.0.0", Replace: &debug.Module{Path: "/home/builder/folder"}},
		},
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}},
	}
	var out bytes.Buffer
	if err := write(&out, billOf(info, "v1.2.3", "abc")); err != nil {
		t.Fatal(err)
	}
	bill := decode(t, out.Bytes())
	program := bill.Metadata.Component
	if program.PackageURL != "pkg:golang/example.com/program@v1.2.3" || (*program.Hashes)[0].Value != "abc" {
		t.Errorf("the program is %+v", program)
	}
	var urls []string
	for _, c := range *bill.Components {
		urls = append(urls, c.PackageURL)
	}
	want := []string{
		"pkg:golang/example.com/a@v2.0.0%2Bincompatible",
		"pkg:golang/example.com/folder@v1.0.0",
		"pkg:golang/example.com/fork@v1.0.1",
		"pkg:golang/example.com/z@v1.0.0",
		"pkg:golang/std@1.26.8",
	}
	if !slices.Equal(urls, want) {
		t.Errorf("components are\n%q, want\n%q", urls, want)
	}
	for _, never := range []string{"/home/builder", "serialNumber", "timestamp"} {
		if bytes.Contains(out.Bytes(), []byte(never)) {
			t.Errorf("%q is in the bill", never)
		}
	}
}

// TestRun has the bill made of a real program: this test.
func TestRun(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run([]string{"-version", "v1.2.3", self}, out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two bills of the same program differ")
	}
	bill := decode(t, first.Bytes())
	if !slices.ContainsFunc(*bill.Components, func(c cdx.Component) bool { return c.Name == "github.com/CycloneDX/cyclonedx-go" }) {
		t.Errorf("no module that is linked in: %s", first.String())
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"no program":     {"-version", "v1.2.3"},
		"no version":     {text},
		"not a program":  {"-version", "v1.2.3", text},
		"missing":        {"-version", "v1.2.3", text + "-missing"},
		"unknown option": {"-serial", text},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(args, &out); err == nil || out.Len() > 0 {
				t.Errorf("error %v, output %q", err, out.String())
			}
		})
	}
}

func decode(t *testing.T, text []byte) *cdx.BOM {
	t.Helper()
	if !json.Valid(text) {
		t.Fatalf("not JSON: %s", text)
	}
	bill := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(bill); err != nil {
		t.Fatal(err)
	}
	return bill
}
