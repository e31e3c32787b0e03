package rules

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-auth-kubernetes/internal/cache"
)

func TestRulesAreReadOnce(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.storesMany(5)
		b.wantReads(0, 0)
		for range 3 {
			b.finds("r000003", "p")
		}
		b.wantReads(1, 5)
		b.stores("r000003", "q")
		b.Changed("R000003")
		b.finds("r000003", "q")
		b.deletes("r000004")
		b.Changed("r000004")
		b.finds("r000004", "")
		b.wantReads(0, 2)
	})
}

// A rule that was deleted, and whoever deleted it told so, is not there for whoever asks
// afterwards, also while somebody else's reading is under way.
func TestChangeWhileStorageIsRead(t *testing.T) {
	for name, first := range map[string]func(b *bed){
		"the first reading": func(*bed) {},
		"a reading of another rule": func(b *bed) {
			b.finds("b", "p")
			b.Changed("a")
		},
		"a reading of the same rule": func(b *bed) {
			b.finds("b", "p")
			b.Changed("b")
		},
		"a look": func(b *bed) {
			b.finds("b", "p")
			time.Sleep(cache.BelieveFor)
		},
		"a look ahead of time": func(b *bed) {
			b.finds("b", "p")
			time.Sleep(cache.ExpectAfter)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bed) {
				b.stores("a", "p")
				b.stores("b", "p")
				first(b)
				release := b.fake.hold()
				var all sync.WaitGroup
				all.Go(func() { _, _ = b.Get(b.t.Context(), b.fake) })
				synctest.Wait() // it reads
				b.deletes("b")
				b.stores("c", "p")
				b.Changed("b")
				b.Changed("c")
				for range 5 {
					all.Go(func() {
						b.finds("b", "")
						b.finds("c", "p")
					})
				}
				synctest.Wait()
				release()
				all.Wait()
			})
		})
	}
}

// A change that somebody is making holds up none who asked after an earlier one, and lets
// none of them do without it.
func TestAChangeAfterTheOneThatCounts(t *testing.T) {
	for name, row := range map[string]struct {
		before, after func(b *bed)
		want          string
	}{
		"of a rule that was deleted": {func(b *bed) { b.stores("a", "p") }, func(b *bed) { b.deletes("a") }, ""},
		"of a rule that was created": {func(*bed) {}, func(b *bed) { b.stores("a", "p") }, "p"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bed) {
				row.before(b)
				b.stores("b", "p")
				b.finds("b", "p")
				b.Changed("a")
				release := b.fake.hold()
				var all sync.WaitGroup
				all.Go(func() { _, _ = b.Get(b.t.Context(), b.fake) })
				synctest.Wait() // it reads what was there before
				row.after(b)
				b.Changed("a") // and this is acknowledged
				all.Go(func() { b.finds("a", row.want) })
				synctest.Wait()
				b.Changed("a") // somebody begins another change
				release()
				all.Wait()
			})
		})
	}
}

// While rules are written all the time, whoever asks waits for those that were written
// before, and not for ever.
func TestNobodyWaitsForLaterChanges(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.stores("a", "p")
		b.finds("a", "p")
		b.fake.fail(func(string) bool { b.Changed("a"); return false }) // during each reading
		b.Changed("a")
		b.finds("a", "p")
	})
}

// The first who ask hang up long before all rules are read.
func TestLoadGoesOnWithoutThoseWhoWait(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.storesMany(100)
		release := b.fake.hold()
		for range 3 {
			ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
			if _, err := b.Get(ctx, b.fake); !errors.Is(err, cache.ErrGaveUp) {
				t.Errorf("who hung up got %v", err)
			}
			cancel()
		}
		release()
		b.wantReads(1, 100)
		b.finds("r000042", "p")
		b.wantReads(0, 0)
	})
}

// A mount that goes away ends its readings.
func TestLoadEndsWithTheMount(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.storesMany(3)
		defer b.fake.hold()()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := b.Get(b.t.Context(), b.fake); !errors.Is(err, context.Canceled) {
				t.Errorf("who waited got %v", err)
			}
		})
		synctest.Wait()
		b.end()
		all.Wait()
	})
}

// What was read stays read where storage fails in between.
func TestLoadGoesOnWhereItEnded(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.storesMany(100)
		b.fake.fail(func(name string) bool { return name == "r000090" })
		if _, err := b.Get(b.t.Context(), b.fake); !errors.Is(err, errSealed) {
			t.Errorf("got %v", err)
		}
		b.fake.fail(nil)
		b.fake.gets.Store(0)
		b.finds("r000090", "p")
		b.finds("r000000", "p")
		if gets := b.fake.gets.Load(); gets > 100-70 {
			t.Errorf("%d reads the second time", gets)
		}
	})
}

// A change that could not be read fails those who come after it, and no one goes by
// what was before.
func TestStorageThatFails(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.stores("a", "p")
		b.finds("a", "p")
		b.deletes("a")
		b.fake.fail(func(string) bool { return true })
		b.Changed("a")
		for range 2 {
			if _, err := b.Get(b.t.Context(), b.fake); !errors.Is(err, errSealed) {
				t.Errorf("got %v", err)
			}
		}
		b.fake.fail(nil)
		b.finds("a", "")
		b.fake.fail(func(string) bool { return true })
		time.Sleep(cache.BelieveFor - time.Second)
		b.finds("a", "") // is young enough still
		time.Sleep(time.Second)
		if _, err := b.Get(b.t.Context(), b.fake); !errors.Is(err, errSealed) {
			t.Errorf("got %v", err)
		}
	})
}

// Names that come and go take no memory where nobody asks for the rules.
func TestNamesThatComeAndGo(t *testing.T) {
	inBubble(t, func(b *bed) {
		comeAndGo := func() {
			for i := range 100_000 {
				b.Changed(fmt.Sprint("name-", i))
			}
		}
		comeAndGo()
		if n := b.remembered(); n != 0 {
			t.Errorf("%d names are remembered, and no rule was read yet", n)
		}
		b.stores("a", "p")
		b.finds("a", "p")
		comeAndGo()
		if n := b.remembered(); n > 2*spareNames {
			t.Errorf("%d names are remembered", n)
		}
		b.stores("a", "q")
		b.finds("a", "q")
		b.stores("b", "p")
		b.Changed("b")
		b.finds("b", "p")
	})
}

// A rule that cannot be used is told of once, and again when it is another one.
func TestUnusableRules(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.stores("a", "${")
		for range 3 {
			b.finds("a", "")
			time.Sleep(cache.BelieveFor)
		}
		if b.unusable != 1 {
			t.Errorf("told %d times", b.unusable)
		}
		b.stores("a", "p")
		b.finds("a", "p")
	})
}
