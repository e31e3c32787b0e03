package processors

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// keepProcessors has a test leave the number of processors as it was.
func keepProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func machineOf(processors int) func() { return func() { runtime.GOMAXPROCS(processors) } }

func want(t *testing.T, when string, count int) {
	t.Helper()
	if got := runtime.GOMAXPROCS(0); got != count {
		t.Errorf("%s: %d processors, want %d", when, got, count)
	}
}

func TestLimit(t *testing.T) {
	keepProcessors(t)
	for machine, count := range map[int]int{1: 1, 2: 1, 4: 2, 8: 4, 64: 32} {
		(&share{}).limit(machineOf(machine))
		want(t, "a machine", count)
	}
}

func TestProcessorsThatTheOperatorSet(t *testing.T) {
	keepProcessors(t)
	t.Setenv("GOMAXPROCS", "3")
	runtime.GOMAXPROCS(3)
	Follow(t.Context())
	want(t, "set to 3", 3)
	runtime.GOMAXPROCS(1)
	release, err := TakeLong(t.Context(), "somebody")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "set to 1, with what takes long", 1)
	release()
	want(t, "set to 1, afterwards", 1)
}

// A container that gets more processors, or fewer, does so while the plugin runs.
func TestProcessorsThatChange(t *testing.T) {
	keepProcessors(t)
	synctest.Test(t, func(t *testing.T) {
		var machine atomic.Int64
		machine.Store(8)
		s := &share{}
		limit := func() { s.limit(machineOf(int(machine.Load()))) }
		limit()
		go every(t.Context(), lookEvery, limit)
		for _, row := range []struct{ machine, count int }{{2, 1}, {16, 8}, {8, 4}} {
			machine.Store(int64(row.machine))
			time.Sleep(lookEvery + time.Second)
			synctest.Wait()
			want(t, "a container that changes", row.count)
		}
	})
}

// What takes long must not keep others waiting for the only processor.
func TestWhatTakesLongHasAProcessorOfItsOwn(t *testing.T) {
	keepProcessors(t)
	synctest.Test(t, func(t *testing.T) {
		s := &share{}
		s.limit(machineOf(2))
		want(t, "before", 1)
		s.begin()
		want(t, "one takes long", 2)
		s.limit(machineOf(2))
		want(t, "after a look at the machine", 2)
		s.begin()
		s.end()
		want(t, "one of two is left", 2)
		s.end()
		want(t, "right after the last", 2)
		time.Sleep(longStays / 2)
		s.begin()
		time.Sleep(longStays)
		want(t, "another soon after", 2)
		s.end()
		time.Sleep(longStays + time.Millisecond)
		synctest.Wait()
		want(t, "a second later", 1)

		s.limit(machineOf(8))
		s.begin()
		want(t, "where there are more", 4)
		s.end()
	})
}
