package turn_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/turn"
)

// waitFor waits until so many wait.
func waitFor(t *testing.T, s *turn.Shares, count int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); s.Waiting() != count; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d wait, want %d", s.Waiting(), count)
		}
	}
}

// However many wait for one owner, another waits for one of them at most.
func TestSharesAreFair(t *testing.T) {
	s := turn.NewShares(1)
	release, err := s.Take(t.Context(), "somebody")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var order []string
	var all sync.WaitGroup
	waiting := 0
	join := func(owner string) {
		all.Go(func() {
			release, err := s.Take(t.Context(), owner)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, owner)
			mu.Unlock()
			release()
		})
		waiting++
		waitFor(t, s, waiting)
	}
	for range 5 {
		join("flood")
	}
	join("victim")
	join("other")
	join("victim")
	release()
	all.Wait()
	if want := []string{"flood", "victim", "other", "flood", "victim", "flood", "flood", "flood"}; !slices.Equal(order, want) {
		t.Errorf("the order was %q, want %q", order, want)
	}
}

func TestSharesOfWhoGivesUp(t *testing.T) {
	s := turn.NewShares(2)
	first, _ := s.Take(t.Context(), 1)
	second, _ := s.Take(t.Context(), 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for range 2 {
		go func() { _, err := s.Take(ctx, 2); ended <- err }()
	}
	waitFor(t, s, 2)
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
	}
	if got := s.Waiting(); got != 0 {
		t.Errorf("%d wait", got)
	}
	if _, err := s.Take(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("who is late already got %v", err)
	}
	first()
	second()
	for range 2 { // both are there again
		if _, err := s.Take(t.Context(), 3); err != nil {
			t.Error(err)
		}
	}
	short, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if _, err := s.Take(short, 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third one got %v", err)
	}
}

// Never more than there are, and none is lost, however turns and those who give up meet.
func TestSharesUnderLoad(t *testing.T) {
	s := turn.NewShares(3)
	var mu sync.Mutex
	var have, most int
	var all sync.WaitGroup
	for owner := range 8 {
		for i := range 8 {
			all.Go(func() {
				for n := range 200 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration((n*7+i)%3)*50*time.Microsecond+time.Microsecond)
					release, err := s.Take(ctx, owner)
					if err == nil {
						mu.Lock()
						have++
						most = max(most, have)
						mu.Unlock()
						mu.Lock()
						have--
						mu.Unlock()
						release()
					}
					cancel()
				}
			})
		}
	}
	all.Wait()
	if most > 3 || s.Waiting() != 0 {
		t.Errorf("%d had a turn at a time, %d wait", most, s.Waiting())
	}
	for range 3 {
		if _, err := s.Take(t.Context(), "after"); err != nil {
			t.Error(err)
		}
	}
}
