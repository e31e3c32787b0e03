package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

// The time of these tests is that of their bubble: it passes when all wait for it.

// held is how somebody who was to be refused was told.
type held struct {
	err   error
	after time.Duration
}

// waiters are clients of an API server that is down.
type waiters struct {
	*Client
	began  time.Time
	ending chan struct{}

	mu    sync.Mutex
	told  []held
	asked int // by those who were held back
	up    bool
	all   sync.WaitGroup
}

func newWaiters(t *testing.T) *waiters {
	t.Helper()
	w := &waiters{began: time.Now(), ending: make(chan struct{}), Client: &Client{
		circuit: &upstream.Circuit{}, now: time.Now, meter: &Meter{}, lookout: make(chan struct{}, 1), closed: make(chan struct{}),
	}}
	for range upstream.DownAfter {
		w.circuit.Failed(w.began, w.began, false, errNoConnection)
	}
	return w
}

var errHeld = &Error{Op: OpReview, Failure: Connection, Err: ErrNotAsked}

// ask is what a login does: it asks if it may, and the API server answers if it is up.
func (w *waiters) ask() error {
	if may, _ := w.circuit.Ask(time.Now()); !may {
		return errHeld
	}
	w.mu.Lock()
	w.asked++
	up := w.up
	w.mu.Unlock()
	if !up {
		w.circuit.Failed(time.Now(), time.Now(), false, errNoConnection)
		return &Error{Op: OpReview, Failure: Connection, Err: errNoConnection}
	}
	w.circuit.Answered(time.Now())
	return nil
}

// come has so many come to be refused.
func (w *waiters) come(ctx context.Context, n int, again func() error) {
	for range n {
		w.all.Go(func() {
			err := w.HoldBack(Until(ctx, w.ending), errHeld, again)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, held{err, time.Since(w.began)})
		})
	}
}

// answers has the API server answer from now on.
func (w *waiters) answers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = true
}

// count is how many were told by a time, and how many of them were let in.
func (w *waiters) count(by time.Duration) (told, in int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.told {
		if one.after <= by {
			told++
			if one.err == nil {
				in++
			}
		}
	}
	return told, in
}

func TestRefusalsAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiters(t)
		w.come(t.Context(), 100, w.ask)
		w.all.Wait()
		for _, row := range []struct {
			by       time.Duration
			from, to int
		}{{0, 10, 10}, {time.Second, 11, 11}, {upstream.HoldAtMost - time.Millisecond, 23, 23}, {upstream.HoldAtMost, 100, 100}} {
			if told, in := w.count(row.by); told < row.from || told > row.to || in > 0 {
				t.Errorf("after %s %d were told, and %d let in, want %d to %d and none", row.by, told, in, row.from, row.to)
			}
		}
		if probes := int(upstream.HoldAtMost / upstream.ProbeEvery); w.asked < probes-2 || w.asked > probes+1 {
			t.Errorf("the API server was asked %d times in %s, want once each %s", w.asked, upstream.HoldAtMost, upstream.ProbeEvery)
		}
		if got := w.refusals.Held(); got != 0 {
			t.Errorf("%d are held back afterwards", got)
		}
	})
}

// The return of the API server is noticed by those who wait, within ProbeEvery, though
// nobody else comes, and though those before them who asked never get an answer.
func TestReturnIsNoticedByThoseWhoWait(t *testing.T) {
	for name, hangs := range map[string]bool{"nobody else comes": false, "the first to ask hang": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWaiters(t)
				ctx, cancel := context.WithCancel(t.Context())
				w.come(ctx, 100, func() error {
					err := w.ask()
					if hangs && err != nil && !errors.Is(err, ErrNotAsked) {
						<-ctx.Done()
					}
					return err
				})
				time.Sleep(1100 * time.Millisecond)
				w.answers()
				time.Sleep(upstream.ProbeEvery)
				synctest.Wait()
				told, in := w.count(time.Hour)
				if hung := w.refusals.Held(); in < 75 || told+hung != 100 || !hangs && hung > 0 || hung > 3 {
					t.Errorf("of %d who were told %d were let in, and %d wait", told, in, hung)
				}
				cancel()
				w.all.Wait()
			})
		})
	}
}

// Whoever waits is told with the end of the request, of the mount, and before the request
// has no time left.
func TestHeldRefusalEnds(t *testing.T) {
	never := func() error { return errors.New("it was asked again") }
	for name, row := range map[string]struct {
		end   func(*waiters, context.CancelFunc)
		after time.Duration
	}{
		"with the request": {func(_ *waiters, cancel context.CancelFunc) { cancel() }, 100 * time.Millisecond},
		"with the process": {func(w *waiters, _ context.CancelFunc) { close(w.ending) }, 100 * time.Millisecond},
		"with the mount":   {func(w *waiters, _ context.CancelFunc) { w.close.Do(func() { close(w.closed) }) }, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWaiters(t)
				ctx, cancel := context.WithCancel(t.Context())
				w.come(ctx, 50, never)
				time.Sleep(row.after)
				row.end(w, cancel)
				w.all.Wait()
				cancel()
				if told, in := w.count(row.after); told != 50 || in != 0 {
					t.Errorf("%d were told, %d of them let in", told, in)
				}
				for _, one := range w.told {
					if !errors.Is(one.err, ErrNotAsked) {
						t.Errorf("one was told %v", one.err)
					}
				}
				w.come(ctx, 50, never) // who comes later does not wait either
				w.all.Wait()
				if told, _ := w.count(row.after); told != 100 {
					t.Errorf("of 50 who came later %d were told at once", told-50)
				}
			})
		})
	}
	t.Run("in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWaiters(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			w.come(ctx, 50, w.ask)
			w.all.Wait()
			if told, _ := w.count(time.Second * 3 / 4); told != 50 {
				t.Errorf("%d of 50 were told while there was time to ask", told)
			}
		})
	})
}

// A refusal for another reason, one of an operator's request, and one that an answer has
// overtaken are not held back.
func TestWhatIsNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiters(t)
		for range 20 { // those who are told at once
			_ = w.refusals.Hold(time.Now())
		}
		never := func() error { return errors.New("it was asked again") }
		other := &Error{Op: OpReview, Failure: ServerError, Err: errors.New(http.StatusText(http.StatusInternalServerError))}
		if err := w.HoldBack(t.Context(), other, never); !errors.Is(err, other) {
			t.Errorf("an answer became %v", err)
		}
		if err := w.HoldBack(Insist(t.Context()), errHeld, never); !errors.Is(err, ErrNotAsked) {
			t.Errorf("the refusal of an operator's request became %v", err)
		}
		w.circuit.Answered(time.Now())
		if err := w.HoldBack(t.Context(), fmt.Errorf("review: %w", errHeld), func() error { return nil }); err != nil {
			t.Errorf("after an answer: %v", err)
		}
		if passed := time.Since(w.began); passed != 0 {
			t.Errorf("it took %s", passed)
		}
	})
}

// At its end a login that may not ask is not judged anew: its refusal is known.
func TestHardlyAnybodyAsksInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiters(t)
		// So the waiting of all ends halfway between two times to ask.
		time.Sleep(upstream.ProbeEvery*3/2 - upstream.HoldAtMost%upstream.ProbeEvery)
		vain := 0
		var mu sync.Mutex
		w.come(t.Context(), 200, func() error {
			err := w.ask()
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, ErrNotAsked) {
				vain++
			}
			return err
		})
		w.all.Wait()
		if vain > 2 {
			t.Errorf("%d of 200 asked in vain", vain)
		}
	})
}

// Where the API server throttles and nothing more is let in, no answer wakes all who wait.
func TestThoseWhoAreThrottledComeOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiters(t)
		w.circuit.Answered(time.Now())
		w.pace.TurnedAway(time.Now())
		w.come(t.Context(), 100, func() error { return errHeld })
		time.Sleep(100 * time.Millisecond)
		w.circuit.Answered(time.Now())
		synctest.Wait()
		if told, _ := w.count(time.Hour); told != 10 {
			t.Errorf("after an answer %d of 100 were told", told)
		}
		w.all.Wait()
		if told, _ := w.count(upstream.HoldAtMost); told != 100 {
			t.Errorf("%d of 100 were told in time", told)
		}
	})
}
