package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/refusal"
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
		for _, step := range allSteps() {
			_, after, found := strings.Cut(rest, fmt.Sprintf(format, step))
			if !found {
				t.Errorf("%s: %q is not where it belongs", file, step)
				continue
			}
			rest = after
		}
	}
}

// allSteps are those of a login under a role up to its alias, and then those of one by rules
// that are no others.
func allSteps() []refusal.Step {
	ofRole, byRules := login.Steps(false, true), login.Steps(true, true)
	reviewed := slices.Index(byRules, refusal.StepPosture) + 1
	return append(ofRole[:len(ofRole)-1:len(ofRole)-1], byRules[reviewed:]...)
}
