package serve

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSpareHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	if got := len(spareHeap()); got != spareHeapBytes {
		t.Errorf("%d bytes", got)
	}
	t.Setenv("GOGC", "50")
	if got := len(spareHeap()); got != 0 {
		t.Errorf("%d bytes, although the operator tunes the collector", got)
	}
}

// keepProcessors has a test leave the number of processors as it was.
func keepProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestLimitProcessors(t *testing.T) {
	keepProcessors(t)
	for machine, want := range map[int]int{1: 1, 2: 1, 4: 2, 8: 4, 64: 32} {
		limitProcessors(func() { runtime.GOMAXPROCS(machine) })
		if got := runtime.GOMAXPROCS(0); got != want {
			t.Errorf("%d of %d processors, want %d", got, machine, want)
		}
	}
}

func TestProcessorsThatTheOperatorSet(t *testing.T) {
	keepProcessors(t)
	t.Setenv("GOMAXPROCS", "3")
	runtime.GOMAXPROCS(3)
	followProcessors(t.Context())
	if got := runtime.GOMAXPROCS(0); got != 3 {
		t.Errorf("%d processors, although the operator said 3", got)
	}
}

// A container that gets more processors, or fewer, does so while the plugin runs.
func TestProcessorsThatChange(t *testing.T) {
	keepProcessors(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var machine atomic.Int64
		machine.Store(8)
		limit := func() { limitProcessors(func() { runtime.GOMAXPROCS(int(machine.Load())) }) }
		limit()
		go every(ctx, processorsEvery, limit)
		for _, row := range []struct{ machine, want int }{{2, 1}, {16, 8}, {8, 4}} {
			machine.Store(int64(row.machine))
			time.Sleep(processorsEvery + time.Second)
			synctest.Wait()
			if got := runtime.GOMAXPROCS(0); got != row.want {
				t.Errorf("%d processors once there are %d, want %d", got, row.machine, row.want)
			}
		}
		cancel()
	})
}
