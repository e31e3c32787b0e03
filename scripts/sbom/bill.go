package main

import (
	"io"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// billOf makes the bill of a program from what its linker noted. sum is the SHA-256
// of the program's file, in hex.
func billOf(info *debug.BuildInfo, version, sum string) *cdx.BOM {
	program := component(cdx.ComponentTypeApplication, info.Main.Path, version)
	program.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
	components := []cdx.Component{component(cdx.ComponentTypeLibrary, "std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, module := range info.Deps {
		components = append(components, library(module))
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	bill := cdx.NewBOM()
	bill.Metadata = &cdx.Metadata{Component: &program, Properties: settings(info)}
	bill.Components = &components
	return bill
}

// library is a module that was linked in: if another replaces it, that one. A folder
// that does has no version, and its path is the builder's own.
func library(module *debug.Module) cdx.Component {
	if module.Replace != nil && module.Replace.Version != "" {
		module = module.Replace
	}
	c := component(cdx.ComponentTypeLibrary, module.Path, module.Version)
	if module.Sum != "" {
		// It is a sum over the sums of the module's files, so no hash of CycloneDX's.
		c.Properties = &[]cdx.Property{{Name: "go:sum", Value: module.Sum}}
	}
	return c
}

func component(kind cdx.ComponentType, name, version string) cdx.Component {
	url := "pkg:golang/" + name + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{BOMRef: url, Type: kind, Name: name, Version: version, PackageURL: url}
}

// settings are those of the build, such as the platform.
func settings(info *debug.BuildInfo) *[]cdx.Property {
	properties := []cdx.Property{{Name: "go:version", Value: info.GoVersion}}
	for _, setting := range info.Settings {
		properties = append(properties, cdx.Property{Name: "go:build:" + setting.Key, Value: setting.Value})
	}
	return &properties
}

func write(out io.Writer, bill *cdx.BOM) error {
	encoder := cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	encoder.SetEscapeHTML(false)
	return encoder.EncodeVersion(bill, cdx.SpecVersion1_6)
}
