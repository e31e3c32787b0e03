package metadata

import (
	"fmt"
	"strings"
	"testing"
)

// However many rules match, their names take up no more of a token than one value may.
func TestListedIsBounded(t *testing.T) {
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("rule-%04d%s", i, strings.Repeat("x", i%40)))
		got := Listed(names)
		if len(got) > MaxValueBytes {
			t.Fatalf("%d names are listed in %d bytes", len(names), len(got))
		}
		listed, more, cut := strings.Cut(got, " and ")
		count := len(strings.Split(listed, ","))
		if !cut && got != Joined(names) || cut && more != fmt.Sprintf("%d more", len(names)-count) {
			t.Fatalf("%d names are listed as %q", len(names), got)
		}
	}
	if got := Listed([]string{strings.Repeat("x", MaxValueBytes+1)}); got != " and 1 more" {
		t.Errorf("a name that fits nowhere is listed as %q", got)
	}
}
