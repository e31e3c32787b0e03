package report

import (
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/bench/internal/proc"
)

// TestFollowing has results from before lists were made anew too.
func TestFollowing(t *testing.T) {
	f := &Following{
		Pods: 300, Accounts: 60,
		Idle:  proc.Footprint{RSS: 40 << 20, Peak: 41 << 20, Threads: 6},
		After: proc.Footprint{RSS: 60 << 20, Peak: 61 << 20, Threads: 8},
	}
	if got := f.table(); strings.Contains(got, "| all listed anew") || !strings.Contains(got, "listed anew was not measured") {
		t.Errorf("got\n%s", got)
	}
	f.Relisted = &proc.Footprint{RSS: 70 << 20, Peak: 99 << 20, Threads: 9}
	const want = `|                                           | resident MiB | at most | threads |
| ----------------------------------------- | -----------: | ------: | ------: |
| before anything is followed               |         40.0 |    41.0 |       6 |
| 300 pods and 60 service accounts followed |         60.0 |    61.0 |       8 |
| all listed anew                           |         70.0 |    99.0 |       9 |
`
	if got := f.table(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
