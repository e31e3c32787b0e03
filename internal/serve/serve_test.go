package serve

import "testing"

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
