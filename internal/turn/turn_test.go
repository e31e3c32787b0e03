package turn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func take(t *testing.T, k *Keys, keys ...string) func() {
	t.Helper()
	release, err := k.Take(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k Keys
		release := take(t, &k, "a")
		take(t, &k, "b")() // waits for nobody
		second := make(chan func())
		go func() { second <- take(t, &k, "a") }()
		synctest.Wait()
		select {
		case <-second:
			t.Fatal("two have the same turn")
		default:
		}
		release()
		(<-second)()
		if len(k.keys) != 0 {
			t.Errorf("%d keys are left", len(k.keys))
		}
	})
}

func TestWhoWaitsForATurnMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k Keys
		release := take(t, &k, "b")
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := k.Take(ctx, "c", "a", "b")
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		take(t, &k, "a", "c")() // were given back
		release()
		if len(k.keys) != 0 {
			t.Errorf("%d keys are left", len(k.keys))
		}
	})
}

// Those who need several keys, in whatever order they name them, also twice, do not
// wait for each other for ever.
func TestSeveralTurns(t *testing.T) {
	var k Keys
	var all sync.WaitGroup
	counts := map[string]*int{"a": new(int), "b": new(int), "c": new(int)}
	for _, keys := range [][]string{{"a", "b", "c"}, {"c", "b", "a"}, {"b", "b"}, {"c", "a"}, {"a"}} {
		all.Go(func() {
			for range 300 {
				release := take(t, &k, keys...)
				for _, key := range keys {
					*counts[key]++
				}
				release()
			}
		})
	}
	all.Wait()
	if *counts["a"] != 1200 || *counts["b"] != 1200 || *counts["c"] != 900 || len(k.keys) != 0 {
		t.Errorf("%d, %d, %d; %d keys are left", *counts["a"], *counts["b"], *counts["c"], len(k.keys))
	}
}
