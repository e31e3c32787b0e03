package main

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// loader is a loader whose loads a test lets go on one by one.
type loader struct {
	mu     sync.Mutex
	loads  int
	value  string // what the next load finds; "" is nothing
	err    error
	block  bool
	begun  chan struct{}
	finish chan struct{}
}

func newLoader() *loader {
	return &loader{value: "first", begun: make(chan struct{}), finish: make(chan struct{})}
}

func (l *loader) load(context.Context, logical.Storage, string) (*string, error) {
	l.mu.Lock()
	l.loads++
	value, err, block := l.value, l.err, l.block
	l.mu.Unlock()
	if block {
		l.begun <- struct{}{}
		<-l.finish
	}
	if err != nil || value == "" {
		return nil, err
	}
	return &value, nil
}

func (l *loader) set(change func(*loader)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func wantCached(t *testing.T, c *cache[string], l *loader, want string, wantLoads int) {
	t.Helper()
	got, err := c.get(t.Context(), nil, "k")
	if err != nil {
		t.Fatal(err)
	}
	if (got == nil) != (want == "") || got != nil && *got != want {
		t.Errorf("got %v, want %q", got, want)
	}
	if l.loads != wantLoads {
		t.Errorf("%d loads, want %d", l.loads, wantLoads)
	}
}

func TestCacheLoadsOnce(t *testing.T) {
	l := newLoader()
	c := newCache(l.load)
	wantCached(t, c, l, "first", 1)
	l.set(func(l *loader) { l.value = "second" })
	wantCached(t, c, l, "first", 1)
	if dropped := c.drop("k"); dropped == nil || *dropped != "first" {
		t.Errorf("dropped %v", dropped)
	}
	wantCached(t, c, l, "second", 2)
	if dropped := c.drop("other"); dropped != nil {
		t.Errorf("dropped %q, which was not there", *dropped)
	}
	wantCached(t, c, l, "second", 2)
}

// Anybody may name what does not exist; remembering that would fill the memory.
func TestCacheForgetsWhatIsNotThere(t *testing.T) {
	l := newLoader()
	l.value = ""
	c := newCache(l.load)
	wantCached(t, c, l, "", 1)
	wantCached(t, c, l, "", 2)
	if len(c.entries) > 0 {
		t.Errorf("%d entries are remembered", len(c.entries))
	}
	l.set(func(l *loader) { l.value = "first" })
	wantCached(t, c, l, "first", 3)
}

func TestCacheForgetsErrors(t *testing.T) {
	l := newLoader()
	l.err = errStorage
	c := newCache(l.load)
	for range 2 {
		if got, err := c.get(t.Context(), nil, "k"); got != nil || !errors.Is(err, errStorage) {
			t.Errorf("got %v, error %v", got, err)
		}
	}
	l.set(func(l *loader) { l.err = nil })
	wantCached(t, c, l, "first", 3)
}

// A value that was read before a write, and arrives after it, must not be kept.
func TestCacheDropWhileItLoads(t *testing.T) {
	for _, dropped := range []string{"k", "other"} {
		t.Run(dropped, func(t *testing.T) {
			l := newLoader()
			l.block = true
			c := newCache(l.load)
			var reader sync.WaitGroup
			reader.Go(func() {
				if got, err := c.get(t.Context(), nil, "k"); err != nil || *got != "first" {
					t.Errorf("the load that was under way got %v, error %v", got, err)
				}
			})
			<-l.begun
			l.set(func(l *loader) { l.value, l.block = "second", false })
			c.drop(dropped) // waits for nobody
			close(l.finish)
			reader.Wait()
			wantCached(t, c, l, "second", 2)
			wantCached(t, c, l, "second", 2)
		})
	}
}

// No lock is held while a value loads.
func TestCacheServesWhileItLoads(t *testing.T) {
	l := newLoader()
	c := newCache(l.load)
	wantCached(t, c, l, "first", 1)
	l.set(func(l *loader) { l.block = true })
	var reader sync.WaitGroup
	reader.Go(func() {
		if _, err := c.get(t.Context(), nil, "slow"); err != nil {
			t.Error(err)
		}
	})
	<-l.begun
	wantCached(t, c, l, "first", 2)
	close(l.finish)
	reader.Wait()
}

func TestCacheAtTheSameTime(t *testing.T) {
	l := newLoader()
	c := newCache(l.load)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				if i == 0 {
					c.drop("k")
				}
				if got, err := c.get(t.Context(), nil, "k"); err != nil || *got != "first" {
					t.Errorf("got %v, error %v", got, err)
				}
			}
		})
	}
	all.Wait()
}
