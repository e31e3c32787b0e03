// Command chaos fills the tables of docs/chaos.md from what make chaos has measured.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"vault-plugin-auth-kubernetes/test/chaos"
	"vault-plugin-auth-kubernetes/test/testbed"
)

func main() {
	if err := fill(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func fill() error {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		return err
	}
	in := flag.String("in", filepath.Join(root, "test", "chaos", "results", "latest.json"), "file with the results")
	document := flag.String("doc", filepath.Join(root, "docs", "chaos.md"), "document with the places for the tables")
	flag.Parse()
	report, err := chaos.Read(*in)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(*document)
	if err != nil {
		return err
	}
	filled, err := chaos.Fill(string(content), report)
	if err != nil {
		return err
	}
	return os.WriteFile(*document, []byte(filled), 0o644)
}
