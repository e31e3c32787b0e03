package serve

import (
	"os"
	"runtime"
)

// spareHeapBytes is memory that is reserved and never touched, so that it takes up
// address space and no memory. The collector takes it for part of the heap and lets
// that much more garbage gather before it runs: a login leaves 30 KiB of it, and a
// heap as small as this plugin's would be collected a hundred times a second. Unlike a
// higher GOGC it adds the same however large the heap grows.
const spareHeapBytes = 8 << 20

// reserve is such a piece of the heap, until it is released.
type reserve []byte

// spareHeap makes the reserve, unless the operator tunes the collector by the
// environment.
func spareHeap() reserve {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make(reserve, spareHeapBytes)
}

func (r reserve) release() { runtime.KeepAlive(r) }
