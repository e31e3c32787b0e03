package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"vault-plugin-auth-kubernetes/bench/internal/plots"
	"vault-plugin-auth-kubernetes/bench/internal/report"
	"vault-plugin-auth-kubernetes/test/testbed"
)

// plotCommand draws the plots and fills the tables of the documentation from the
// results.
func plotCommand(args []string) error {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("bench plot", flag.ContinueOnError)
	in := flags.String("in", filepath.Join(root, "bench", "results", "latest.json"), "file with the results")
	document := flags.String("doc", filepath.Join(root, "docs", "performance.md"), "document with the places for the tables")
	images := flags.String("images", filepath.Join(root, "docs", "images"), "folder for the plots")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if err == nil {
			return fmt.Errorf("unknown argument %q", flags.Arg(0))
		}
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if !isFile(*in) {
		return fmt.Errorf("%s: there are no results; bench run makes them", *in)
	}
	files, err := rendered(*in, *document, *images)
	if err != nil {
		return err
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // documentation is no secret
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // documentation is no secret
			return err
		}
	}
	return nil
}

// besides are results of further runs, which the document has some tables of. Their
// files are beside the main one, and their tables' names begin with a prefix.
var besides = []struct {
	prefix, file string
	tables       []string
}{
	{"service", "service.json", []string{"conditions", "ratios", "throughput", "cache"}},
	{"imprecise", "service-imprecise.json", []string{"conditions", "ratios", "cache"}},
}

// rendered is what the document and the plots have to be, by their paths.
func rendered(in, document, images string) (map[string][]byte, error) {
	results, err := report.Read(in)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(document) //nolint:gosec // the path is the caller's to choose
	if err != nil {
		return nil, err
	}
	tables := results.Tables()
	for _, run := range besides {
		further, err := report.Read(filepath.Join(filepath.Dir(in), run.file))
		if err != nil {
			return nil, err
		}
		for name, table := range further.Tables() {
			if slices.Contains(run.tables, name) {
				tables[run.prefix+name] = table
			}
		}
	}
	filled, err := report.Fill(string(text), tables)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", document, err)
	}
	files := map[string][]byte{document: []byte(filled)}
	drawn, err := plots.Draw(results)
	if err != nil {
		return nil, err
	}
	for name, image := range drawn {
		files[filepath.Join(images, name)] = image
	}
	return files, nil
}
