package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestManyWaitForOneReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCache(t)
		gate := make(chan struct{})
		s.gate = gate
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if got, err := c.Get(t.Context(), s, "k"); err != nil || *got != "first" {
					t.Errorf("got %v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		all.Wait()
		if s.loads != 1 {
			t.Errorf("%d readings", s.loads)
		}
	})
}

// The first who waits hangs up, and then all do; what was read is kept all the same.
func TestReadingGoesOnWithoutThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCache(t)
		gate := make(chan struct{})
		s.gate = gate
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := c.Get(ctx, s, "k")
			if !errors.Is(err, ErrGaveUp) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who hung up got %v", err)
			}
			cancel()
		}
		close(gate)
		synctest.Wait()
		want(t, c, s, "first", 1)
	})
}

// Whoever names what does not exist, and hangs up, piles up no readings.
func TestAbandonedReadingsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := NewGroup[int, int](t.Context(), 0)
		gate := make(chan struct{})
		var running, ended atomic.Int64
		read := Read[int]{From: func(ctx context.Context) (int, error) {
			running.Add(1)
			defer running.Add(-1)
			select {
			case <-gate:
				ended.Add(1)
				return 1, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}}
		hangUp := func(key int) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := group.Do(ctx, key, read); !errors.Is(err, ErrGaveUp) {
				t.Errorf("%d: %v", key, err)
			}
		}
		for key := range 1000 {
			hangUp(key)
		}
		synctest.Wait()
		if got := running.Load(); got != maxAbandoned {
			t.Errorf("%d readings go on, want %d", got, maxAbandoned)
		}
		var joined sync.WaitGroup
		joined.Go(func() { // one of those that go on is waited for again
			if _, err := group.Do(t.Context(), 0, read); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		hangUp(2000) // so that there is room for another
		synctest.Wait()
		if got := running.Load(); got != maxAbandoned+1 {
			t.Errorf("%d readings go on, want %d", got, maxAbandoned+1)
		}
		close(gate)
		joined.Wait()
		synctest.Wait()
		if len(group.readings) != 0 || group.abandoned != 0 || ended.Load() != maxAbandoned+1 {
			t.Errorf("%d readings are left, %d of them abandoned; %d ended", len(group.readings), group.abandoned, ended.Load())
		}
	})
}

// A reading ends with the group, and in any case in time.
func TestReadingsEnd(t *testing.T) {
	for name, row := range map[string]struct {
		after time.Duration
		want  error
	}{"with the group": {time.Second, context.Canceled}, "in time": {time.Hour, context.DeadlineExceeded}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				group := NewGroup[int, int](ctx, time.Minute)
				time.AfterFunc(row.after, cancel)
				_, err := group.Do(t.Context(), 1, Read[int]{From: func(ctx context.Context) (int, error) {
					<-ctx.Done()
					return 0, ctx.Err()
				}})
				if !errors.Is(err, row.want) || errors.Is(err, ErrGaveUp) {
					t.Errorf("%v, want %v", err, row.want)
				}
				cancel()
			})
		})
	}
}
