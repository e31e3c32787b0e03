package turn

import (
	"runtime"
	"sync"
)

// Work are the turns of this process at what takes long. One processor is left for what
// does not.
var Work = sync.OnceValue(func() *Shares { return NewShares(max(1, runtime.GOMAXPROCS(0)-1)) })
