package upstream_test

import (
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

// begin lets a connection be made, or fails the test.
func begin(t *testing.T, a *upstream.Allowance, now time.Time) {
	t.Helper()
	if wait := a.Begin(now); wait != 0 {
		t.Errorf("a connection waits %s", wait)
	}
}

// breaks makes connections that break.
func breaks(t *testing.T, a *upstream.Allowance, now time.Time, n int) {
	t.Helper()
	for range n {
		begin(t, a, now)
		a.Ended(now, false, true)
	}
}

func TestAllowance(t *testing.T) {
	var a upstream.Allowance
	breaks(t, &a, at(0), 7)
	broken := 7
	for now := at(0); now.Before(at(90 * time.Second)); now = now.Add(10 * time.Millisecond) {
		if a.Begin(now) == 0 {
			a.Ended(now, false, true)
			broken++
		}
	}
	if broken > 200 || broken < 150 {
		t.Errorf("%d connections in 90 seconds, want about two a second", broken)
	}
	breaks(t, &a, at(91*time.Second), 1)
	for range 100 { // they lasted until now
		a.Ended(at(91*time.Second), true, true)
	}
	if wait := a.Begin(at(91 * time.Second)); wait <= 0 || wait > time.Second {
		t.Errorf("after a hundred breaks at once a connection waits %s", wait)
	}
}

// While connections break, those count of which nothing is known yet, however many come at
// a time; else they do not.
func TestConnectionsThatMayBreakAsWell(t *testing.T) {
	var a upstream.Allowance
	for range 100 {
		begin(t, &a, at(0))
	}
	a.Ended(at(0), false, true)
	if wait := a.Begin(at(0)); wait <= 0 || wait > time.Second {
		t.Errorf("one broke and 99 may: a connection waits %s", wait)
	}
	for range 93 {
		a.Proved()
	}
	begin(t, &a, at(0)) // now six may
	if wait := a.Begin(at(0)); wait <= 0 || wait > time.Second {
		t.Errorf("one broke and seven may: a connection waits %s", wait)
	}
	a.Ended(at(0), false, false) // nobody wanted it any more
	begin(t, &a, at(0))
	for range 100 { // an operator's, and a second later none broke of late
		a.BeginAnyhow()
	}
	begin(t, &a, at(time.Second))
}
