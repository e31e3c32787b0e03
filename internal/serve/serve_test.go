package serve

import (
	"runtime"
	"testing"
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

func TestLimitProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	for machine, want := range map[int]int{1: 1, 2: 1, 4: 1, 8: 2, 64: 16} {
		t.Setenv("GOMAXPROCS", "")
		runtime.GOMAXPROCS(machine)
		limitProcessors()
		if got := runtime.GOMAXPROCS(0); got != want {
			t.Errorf("%d of %d processors, want %d", got, machine, want)
		}
		t.Setenv("GOMAXPROCS", "3")
		runtime.GOMAXPROCS(3)
		limitProcessors()
		if got := runtime.GOMAXPROCS(0); got != 3 {
			t.Errorf("%d processors, although the operator said 3", got)
		}
	}
}
