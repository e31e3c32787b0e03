package cluster

import (
	"errors"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/token"
)

// What a reading says about a key that somebody asks for, by when it began and how it
// ended.
func TestReadingsCountForWhoCameBefore(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	outage := errors.New("outage")
	var ring keyring
	first := ring.begin(start)
	_, during, _ := ring.come(start)
	if _, found, _, failed := ring.after(during); found || failed != nil || !ring.state().Reading {
		t.Error("a reading that has not ended says something")
	}
	ring.end(first, token.Keys{}, nil)
	if _, found, _, _ := ring.after(during); found {
		t.Error("a reading that began before somebody came counts for him")
	}
	second := ring.begin(start.Add(time.Second))
	ring.end(second, token.Keys{}, outage)
	if _, found, _, failed := ring.after(during); found || !errors.Is(failed, outage) {
		t.Errorf("found %t, failed %v", found, failed)
	}
	_, later, _ := ring.come(start.Add(time.Second))
	if _, _, _, failed := ring.after(later); failed != nil {
		t.Errorf("a failure from before counts: %v", failed)
	}
	third := ring.begin(start.Add(2 * time.Second))
	ring.end(third, token.Keys{}, nil)
	fourth := ring.begin(start.Add(3 * time.Second))
	ring.end(fourth, token.Keys{}, outage)
	if _, found, _, _ := ring.after(during); !found {
		t.Error("a reading in time does not count, since a later one failed")
	}
}

func TestReadingsAreSpaced(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var ring keyring
	if wait := ring.wait(start); wait != 0 {
		t.Errorf("the first reading waits %s", wait)
	}
	ring.end(ring.begin(start), token.Keys{}, nil)
	if wait := ring.wait(start.Add(KeysAtMostEvery / 4)); wait != KeysAtMostEvery*3/4 {
		t.Errorf("the second waits %s", wait)
	}
	if _, _, old := ring.come(start.Add(KeysAtLeastEvery - 1)); old {
		t.Error("keys are old too early")
	}
	if _, _, old := ring.come(start.Add(KeysAtLeastEvery)); !old {
		t.Error("keys do not get old")
	}
	ring.end(ring.begin(start.Add(KeysAtLeastEvery)), token.Keys{}, errors.New("outage"))
	if _, _, old := ring.come(start.Add(KeysAtLeastEvery)); old {
		t.Error("a reading that failed is made again at once")
	}
}
