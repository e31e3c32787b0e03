package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The picture and the table of a login have the steps of the code, and in its order.
func TestStepsAreDocumented(t *testing.T) {
	for file, format := range map[string]string{
		"docs/images/login.svg": ">%s</text>",
		"docs/architecture.md":  "| %s |",
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rest := string(content)
		for _, s := range slices.Concat(beginSteps, identifySteps, boundSteps, ruleSteps[len(identifySteps):]) {
			_, after, found := strings.Cut(rest, fmt.Sprintf(format, s.name))
			if !found {
				t.Errorf("%s: %q is not where it belongs", file, s.name)
				continue
			}
			rest = after
		}
	}
}
