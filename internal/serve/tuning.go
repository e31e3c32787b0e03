package serve

import (
	"context"
	"os"
	"runtime"
	"time"
)

// processorShare is the part of the machine that the plugin may be busy on at a time: half.
// Of the work of a login that Vault and the plugin share at most two parts in five are the
// plugin's, so that half never keeps Vault waiting, however many processors there are. A
// plugin that spreads its part over all of them spends more time on waking them than on
// logins: on two processors it takes a tenth more for each login.
const processorShare = 2

// processorsEvery is how often it is looked how many processors there are: the limit of a
// container can change while it runs.
const processorsEvery = time.Minute

// followProcessors keeps to its share of the processors until ctx ends, unless the operator
// says by the environment how many they are.
func followProcessors(ctx context.Context) {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	limitProcessors(runtime.SetDefaultGOMAXPROCS)
	go every(ctx, processorsEvery, func() { limitProcessors(runtime.SetDefaultGOMAXPROCS) })
}

// limitProcessors takes a share of all processors that toAll sets. Once a number was set the
// runtime follows the limits of a container no longer by itself.
func limitProcessors(toAll func()) {
	toAll()
	runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/processorShare))
}

func every(ctx context.Context, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-ctx.Done():
			return
		}
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
