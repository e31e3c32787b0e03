package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errSource = errors.New("the source is sealed")

// source is what a test reads from. What a reading found is settled when it begins;
// a test lets it end.
type source struct {
	mu     sync.Mutex
	values map[string]string
	err    error
	loads  int
	gate   chan struct{} // readings end when it is closed; nil is at once
}

func newSource() *source { return &source{values: map[string]string{"k": "first"}} }

func (s *source) set(change func(*source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func load(ctx context.Context, s *source, key string, last *string) (*string, error) {
	s.mu.Lock()
	s.loads++
	value, ok := s.values[key]
	err, gate := s.err, s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, nil
	case last != nil && *last == value:
		return last, nil
	}
	return &value, nil
}

// newCache is a cache whose clock is that of the test's bubble.
func newCache(t *testing.T) (*Cache[*source, string], *source) {
	return New(t.Context(), time.Minute, time.Now, load), newSource()
}

func want(t *testing.T, c *Cache[*source, string], s *source, value string, loads int) *string {
	t.Helper()
	got, err := c.Get(t.Context(), s, "k")
	if err != nil {
		t.Fatal(err)
	}
	if (got == nil) != (value == "") || got != nil && *got != value {
		t.Errorf("got %v, want %q", got, value)
	}
	synctest.Wait()
	if s.set(func(*source) {}); s.loads != loads {
		t.Errorf("%d readings, want %d", s.loads, loads)
	}
	return got
}

func inBubble(name string, t *testing.T, run func(t *testing.T, c *Cache[*source, string], s *source)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, s := newCache(t)
			run(t, c, s)
		})
	})
}

func TestCache(t *testing.T) {
	inBubble("reads once until it is dropped", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		want(t, c, s, "first", 1)
		s.set(func(s *source) { s.values["k"] = "second" })
		want(t, c, s, "first", 1)
		c.Drop("other")
		want(t, c, s, "first", 1)
		c.Drop("k")
		want(t, c, s, "second", 2)
	})
	// Anybody may name what does not exist; remembering that would fill the memory.
	inBubble("remembers nothing that is not there", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		s.set(func(s *source) { delete(s.values, "k") })
		want(t, c, s, "", 1)
		want(t, c, s, "", 2)
		if c.Len() > 0 {
			t.Errorf("%d entries are remembered", c.Len())
		}
	})
	inBubble("remembers no error", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		s.set(func(s *source) { s.err = errSource })
		for range 2 {
			if got, err := c.Get(t.Context(), s, "k"); got != nil || !errors.Is(err, errSource) {
				t.Errorf("got %v, error %v", got, err)
			}
		}
		s.set(func(s *source) { s.err = nil })
		want(t, c, s, "first", 3)
	})
}

func TestNothingIsBelievedForMoreThanAMinute(t *testing.T) {
	inBubble("what changed is read", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		want(t, c, s, "first", 1)
		s.set(func(s *source) { s.values["k"] = "second" })
		time.Sleep(BelieveFor)
		want(t, c, s, "second", 2)
	})
	inBubble("what is gone is gone", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		want(t, c, s, "first", 1)
		s.set(func(s *source) { delete(s.values, "k") })
		time.Sleep(BelieveFor)
		want(t, c, s, "", 2)
	})
	inBubble("what cannot be read is an error, and counts again once it can", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		want(t, c, s, "first", 1)
		s.set(func(s *source) { s.err = errSource })
		time.Sleep(BelieveFor)
		if got, err := c.Get(t.Context(), s, "k"); got != nil || !errors.Is(err, errSource) {
			t.Errorf("got %v, error %v", got, err)
		}
		s.set(func(s *source) { s.err = nil })
		want(t, c, s, "first", 3)
	})
	inBubble("what is the same stays the very value", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		first := want(t, c, s, "first", 1)
		time.Sleep(BelieveFor)
		if again := want(t, c, s, "first", 2); again != first {
			t.Error("it was made anew")
		}
	})
	inBubble("a steady user reads once a minute and never waits", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		want(t, c, s, "first", 1)
		gate := make(chan struct{})
		s.set(func(s *source) { s.gate = gate })
		time.Sleep(ExpectAfter)
		for range 3 {
			want(t, c, s, "first", 2) // while the second reading hangs
		}
		close(gate)
		synctest.Wait()
		for range 49 {
			time.Sleep(time.Second)
			want(t, c, s, "first", 2)
		}
		time.Sleep(time.Second)
		want(t, c, s, "first", 3)
	})
	inBubble("a reading ahead of time that fails is not tried at each use", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		want(t, c, s, "first", 1)
		s.set(func(s *source) { s.err = errSource })
		time.Sleep(ExpectAfter)
		for range 3 {
			want(t, c, s, "first", 2)
		}
		time.Sleep(RetryAfter)
		want(t, c, s, "first", 3)
	})
	inBubble("the minute begins where the reading did", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		gate := make(chan struct{})
		s.set(func(s *source) { s.gate = gate })
		go func() { _, _ = c.Get(t.Context(), s, "k") }()
		synctest.Wait()
		time.Sleep(BelieveFor - time.Second)
		close(gate)
		synctest.Wait()
		want(t, c, s, "first", 2)
	})
	inBubble("nobody peeks at what is old", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		want(t, c, s, "first", 1)
		if got, ok := c.Peek("k"); !ok || *got != "first" {
			t.Errorf("%v, %t", got, ok)
		}
		time.Sleep(ExpectAfter)
		if _, ok := c.Peek("k"); ok {
			t.Error("it is there to be peeked at")
		}
	})
	inBubble("what nobody uses is let go", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		for round := range 3 {
			for i := range sweepFrom {
				key := fmt.Sprint(round, "-", i)
				s.set(func(s *source) { s.values[key] = key })
				if _, err := c.Get(t.Context(), s, key); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(BelieveFor)
		}
		if c.Len() > 2*sweepFrom {
			t.Errorf("%d are remembered", c.Len())
		}
	})
}

// Whoever comes after a drop gets nothing of a reading that began before it, and
// nothing of that is kept; who came before gets what it found.
func TestDropWhileItIsRead(t *testing.T) {
	inBubble("the first reading", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		dropWhileReading(t, c, s, 1)
	})
	inBubble("a reading ahead of time", t, func(t *testing.T, c *Cache[*source, string], s *source) {
		want(t, c, s, "first", 1)
		time.Sleep(ExpectAfter)
		dropWhileReading(t, c, s, 2)
	})
}

func dropWhileReading(t *testing.T, c *Cache[*source, string], s *source, loads int) {
	gate := make(chan struct{})
	s.set(func(s *source) { s.gate = gate })
	var before sync.WaitGroup
	before.Go(func() {
		if got, err := c.Get(t.Context(), s, "k"); err != nil || *got != "first" {
			t.Errorf("who came before got %v, %v", got, err)
		}
	})
	synctest.Wait()
	s.set(func(s *source) { s.values["k"], s.gate = "second", nil })
	c.Drop("k")
	want(t, c, s, "second", loads+1) // although the other reading is under way
	close(gate)
	before.Wait()
	want(t, c, s, "second", loads+1)
}

func TestCacheAtTheSameTime(t *testing.T) {
	c, s := newCache(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				if i == 0 {
					c.Drop("k")
				}
				if got, err := c.Get(t.Context(), s, "k"); err != nil || *got != "first" {
					t.Errorf("got %v, error %v", got, err)
				}
			}
		})
	}
	all.Wait()
}
