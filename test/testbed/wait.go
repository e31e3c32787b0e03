package testbed

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// poll calls ready until it returns nil, or startTimeout or ctx ends the wait;
// the error then carries ready's last one.
func poll(ctx context.Context, what string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %w)", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// portTaken tells from the end of a server's log whether it could not start
// because someone else took the port that was free when it was chosen.
func portTaken(err error) bool {
	return strings.Contains(err.Error(), "address already in use")
}

// logTail returns the last lines of a log file under a heading, for an error.
func logTail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error() + "\n"
	}
	return fmt.Sprintf("--- end of %s:\n%s\n", path, tail(string(text), 20))
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
