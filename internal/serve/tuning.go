package serve

import (
	"os"
	"runtime"
)

// processorShare is the part of the machine that the plugin may be busy on at a time.
// Of the work of a login at least three parts in four are Vault's and the API server's.
// A plugin that spreads the rest over all processors spends more time on waking them
// than on logins, and keeps the others from theirs: on two processors it takes a third
// more time for each login.
const processorShare = 4

// limitProcessors sets how many processors the plugin may use, unless the operator does
// so by the environment.
func limitProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/processorShare))
	}
}

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
