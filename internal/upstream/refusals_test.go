package upstream_test

import (
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

func TestAFewAreRefusedAtOnce(t *testing.T) {
	var r upstream.Refusals
	for i := range 10 {
		if hold := r.Hold(at(0)); hold != 0 {
			t.Errorf("refusal %d is held back for %s", i+1, hold)
		}
	}
	last := time.Duration(0)
	for range 1000 {
		hold := r.Hold(at(0))
		if hold < last || hold <= 0 || hold > upstream.HoldAtMost {
			t.Fatalf("held back for %s after %s", hold, last)
		}
		last = hold
	}
	if last != upstream.HoldAtMost {
		t.Errorf("a thousand at once are held back for %s at most", last)
	}
	if hold := r.Hold(at(time.Minute)); hold != 0 {
		t.Errorf("a minute later one is held back for %s", hold)
	}
}

// Clients that come back a second after each refusal make an eighth of the refusals that
// they would make otherwise.
func TestImpatientClientsAreSlowed(t *testing.T) {
	var r upstream.Refusals
	const clients, seconds = 20, 60
	next, told := make([]time.Duration, clients), 0
	for now := time.Duration(0); now < seconds*time.Second; now += 10 * time.Millisecond {
		for i := range next {
			if next[i] <= now {
				next[i] = now + r.Hold(at(now)) + time.Second
				told++
			}
		}
	}
	if told > clients*seconds/8 || told < seconds {
		t.Errorf("%d refusals in a minute", told)
	}
}

// What waits is bounded: of those who come beyond that each is told at once.
func TestHeldAreBounded(t *testing.T) {
	var r upstream.Refusals
	held := 0
	for range 5000 {
		if r.Hold(at(0)) > 0 {
			held++
		}
	}
	if held != 1024 || r.Held() != held {
		t.Errorf("%d of 5000 are held back, and it says %d", held, r.Held())
	}
	r.Told()
	if first, second := r.Hold(at(0)), r.Hold(at(0)); first == 0 || second != 0 {
		t.Errorf("with one place left, two are held back for %s and %s", first, second)
	}
}
