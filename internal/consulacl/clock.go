package consulacl

import (
	"context"
	"time"
)

// Clock tells the time and waits for it to pass.
type Clock interface {
	Now() time.Time
	// Sleep returns the error of the context, if that ends before.
	Sleep(ctx context.Context, d time.Duration) error
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
