package processors

import (
	"context"
	"runtime"
	"sync"

	"vault-plugin-auth-kubernetes/internal/turn"
)

// shares are the turns of this process at what takes long. One processor is left for what
// does not.
var shares = sync.OnceValue(func() *turn.Shares { return turn.NewShares(max(1, runtime.GOMAXPROCS(0)-1)) })

// TakeLong waits for a turn of the owner at what takes long, and returns what gives it back.
// The error is that of the context. Nobody may take a turn while he has one, nor wait for
// anything else.
func TakeLong(ctx context.Context, owner any) (release func(), err error) {
	giveBack, err := shares().Take(ctx, owner)
	if err != nil {
		return nil, err
	}
	process.begin()
	return func() {
		process.end()
		giveBack()
	}, nil
}
