// Command sbom writes the bill of materials of a Go program, in CycloneDX's JSON,
// as the program itself tells it: the modules that were linked in, the ones that
// `go version -m` lists, and Go's own standard library.
//
//	sbom -version v1.2.3 PROGRAM >PROGRAM.cdx.json
//
// The same program gives the same bytes: there is no serial number, no time and no
// path in them.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	version := flags.String("version", "", "version of the program, such as v1.2.3")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *version == "" {
		return errors.New("usage: sbom -version VERSION PROGRAM")
	}
	file, err := os.Open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := buildinfo.Read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, 1<<62)); err != nil {
		return err
	}
	return write(out, billOf(info, *version, hex.EncodeToString(sum.Sum(nil))))
}
