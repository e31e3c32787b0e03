package faults

import (
	"context"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/chaos"
)

// TestSoak has clients log in on 20 mounts, half of which are sick, for as long as -chaos.soak
// says, and looks at what the processes hold: after the first fifth, at the end, and once
// everybody has left.
func TestSoak(t *testing.T) {
	onlyLong(t)
	lasting := *chaosSoak
	b := newTable(t, "soak", lasting, chaos.Column{Title: "logins"}, chaos.Column{Title: "refused on healthy mounts"},
		chaos.Column{Title: "MiB after a fifth"}, chaos.Column{Title: "MiB at the end"},
		chaos.Column{Title: "goroutines after a fifth"}, chaos.Column{Title: "at the end"}, chaos.Column{Title: "before"}, chaos.Column{Title: "at rest"},
		chaos.Column{Title: "descriptors after a fifth"}, chaos.Column{Title: "at the end"}, chaos.Column{Title: "before"}, chaos.Column{Title: "at rest"})
	for _, method := range methods {
		ctx, cancel := context.WithCancel(t.Context())
		n := newNeighbourhood(ctx, t, method, 10)
		wait(t.Context(), 2*time.Second)
		before := n.resources(t)
		healthy := n.clients(t, n.healthy, 2, 100*time.Millisecond)
		sick := n.clients(t, n.sick, 5, 100*time.Millisecond)
		wait(t.Context(), lasting/5)
		fifth := n.highest(t, lasting/5)
		wait(t.Context(), lasting*2/5)
		last := n.highest(t, lasting/5)
		logins := gathered(healthy)
		for _, c := range append(healthy, sick...) {
			c.gone()
		}
		wait(t.Context(), 20*time.Second)
		rest := n.resources(t)
		cancel()
		b.add("20 mounts, 10 of them sick", method, float64(logins.allowed()), float64(logins.refused()), fifth.memoryMiB, last.memoryMiB,
			float64(fifth.goroutines), float64(last.goroutines), float64(before.goroutines), float64(rest.goroutines),
			float64(fifth.descriptors), float64(last.descriptors), float64(before.descriptors), float64(rest.descriptors))
		if method != ours {
			continue
		}
		if logins.refused() > 0 || logins.allowed() == 0 {
			t.Errorf("on healthy mounts %d logins were allowed, refused %v", logins.allowed(), logins.statuses())
		}
		if grown := last.memoryMiB - fifth.memoryMiB; grown > 24 || last.goroutines > fifth.goroutines*11/10 || last.descriptors > fifth.descriptors*11/10 {
			t.Errorf("after a fifth of the time %+v, at the end %+v", fifth, last)
		}
		if rest.goroutines > before.goroutines*11/10 || rest.descriptors > before.descriptors*11/10 {
			t.Errorf("before %+v, at rest %+v", before, rest)
		}
	}
	b.keep(t)
}

// highest is the most that was held at any of some moments.
func (n *neighbourhood) highest(t *testing.T, during time.Duration) (most resources) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); wait(t.Context(), during/20) {
		now := n.resources(t)
		most.memoryMiB = max(most.memoryMiB, now.memoryMiB)
		most.goroutines = max(most.goroutines, now.goroutines)
		most.descriptors = max(most.descriptors, now.descriptors)
	}
	return most
}
