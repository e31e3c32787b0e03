package upstream_test

import (
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

// numbered makes lines that are numbers, from 1 on, and lists those that were closed.
func numbered() (lines *upstream.Lines[int], closed *[]int) {
	made := 0
	closed = &[]int{}
	return upstream.NewLines(func() int { made++; return made }, func(n int) { *closed = append(*closed, n) }), closed
}

func TestASilentLineIsReplacedOnce(t *testing.T) {
	lines, closed := numbered()
	first, second := lines.Begin(at(0)), lines.Begin(at(0))
	lines.Silent(first, at(0))
	lines.Silent(second, at(0))
	if got := lines.State().Current; got != upstream.Suspect {
		t.Fatalf("the line is %s", got)
	}
	third := lines.Begin(at(10 * time.Second))
	if third.Value != 2 || lines.State() != (upstream.LinesState{Current: upstream.Healthy, Underway: 1, Replaced: 1}) {
		t.Fatalf("line %d, state %+v", third.Value, lines.State())
	}
	lines.End(first)
	if len(*closed) != 0 {
		t.Fatal("a line was closed under a request")
	}
	lines.End(second)
	if len(*closed) != 1 || (*closed)[0] != 1 || lines.State().Replaced != 0 {
		t.Errorf("closed are %v, state %+v", *closed, lines.State())
	}
	lines.End(third)
	if len(*closed) != 1 {
		t.Errorf("the line in use was closed: %v", *closed)
	}
}

func TestALineOnWhichOthersAreAnsweredIsKept(t *testing.T) {
	lines, _ := numbered()
	hangs, other := lines.Begin(at(0)), lines.Begin(at(0))
	lines.Answered(other, at(time.Second))
	lines.Silent(hangs, at(0))
	if got := lines.State().Current; got != upstream.Healthy {
		t.Errorf("the line is %s although it carried an answer meanwhile", got)
	}
	lines.Silent(lines.Begin(at(2*time.Second)), at(2*time.Second))
	lines.Answered(other, at(12*time.Second))
	if got := lines.State().Current; got != upstream.Healthy {
		t.Errorf("the line is %s although it answers again", got)
	}
}

// However an API server hangs, lines are replaced once a second at most, and four at
// most wait for their requests to end.
func TestReplacingIsBounded(t *testing.T) {
	lines, closed := numbered()
	var ends []*upstream.Line[int]
	for i := range 1000 { // a hundred a second
		now := at(time.Duration(i) * 10 * time.Millisecond)
		line := lines.Begin(now)
		lines.Silent(line, now)
		lines.End(line)
	}
	if got := len(*closed); got < 9 || got > 10 {
		t.Errorf("%d lines were replaced in ten seconds", got)
	}
	for i := range 20 {
		line := lines.Begin(at(time.Minute + time.Duration(i)*2*time.Second))
		lines.Silent(line, at(time.Minute+time.Duration(i)*2*time.Second))
		ends = append(ends, line)
	}
	if got := lines.State().Replaced; got != 4 {
		t.Errorf("%d replaced lines hold requests, want 4", got)
	}
	for _, line := range ends {
		lines.End(line)
	}
	if state := lines.State(); state.Replaced != 0 || state.Underway != 0 {
		t.Errorf("afterwards %+v", state)
	}
}

// After Close nothing is kept beyond the request that needs it, however often one comes.
func TestClosedLinesKeepNothing(t *testing.T) {
	lines, closed := numbered()
	line := lines.Begin(at(0))
	lines.Close()
	if len(*closed) != 0 {
		t.Fatal("closed under a request")
	}
	lines.End(line)
	lines.End(lines.Begin(at(1)))
	if len(*closed) != 2 || !lines.State().Closing {
		t.Errorf("closed %d times", len(*closed))
	}
	idle, closed := numbered()
	idle.Close()
	if len(*closed) != 1 {
		t.Errorf("closed %d times", len(*closed))
	}
}
