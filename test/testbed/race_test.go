package testbed

import (
	"os"
	"strings"
	"testing"
)

func TestRaces(t *testing.T) {
	b := &Bed{Dir: t.TempDir()}
	if env := b.raceEnv(); len(env) > 0 {
		t.Errorf("%q for a plugin without the race detector", env)
	}
	b.opts.Plugin.Race = true
	env := b.raceEnv()
	if err := b.Races(); err != nil || len(env) != 1 {
		t.Fatalf("before anything was found: %v, %q", err, env)
	}
	log, _ := strings.CutPrefix(env[0], "GORACE=log_path=")
	for _, process := range []string{"11", "12"} {
		if err := os.WriteFile(log+"."+process, []byte("WARNING: DATA RACE in "+process), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := b.Races()
	if err == nil || !strings.Contains(err.Error(), "in 11") || !strings.Contains(err.Error(), "in 12") {
		t.Errorf("got %v", err)
	}
}
