package rules

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-auth-kubernetes/internal/cache"
)

// Nobody told of what happened to the rules, and a minute later it counts.
func TestWhatNobodyToldOf(t *testing.T) {
	for name, row := range map[string]struct {
		happens func(b *bed)
		want    string
	}{
		"a rule was deleted":            {func(b *bed) { b.deletes("a") }, ""},
		"a rule was changed":            {func(b *bed) { b.stores("a", "q") }, "q"},
		"a rule was created":            {func(b *bed) { b.deletes("a"); b.Changed("a"); b.finds("a", ""); b.stores("a", "q") }, "q"},
		"a rule was broken":             {func(b *bed) { b.stores("a", "${") }, ""},
		"a rule was broken, and mended": {func(b *bed) { b.stores("a", "${"); time.Sleep(cache.BelieveFor); b.finds("a", ""); b.stores("a", "q") }, "q"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bed) {
				b.stores("a", "p")
				b.storesMany(20)
				b.Changed("a")
				b.finds("a", "p")
				row.happens(b)
				time.Sleep(cache.BelieveFor)
				b.finds("a", row.want)
			})
		})
	}
}

// Beside a look in about a minute nothing is read, and nobody waits for it.
func TestLooksInTheSteadyState(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.storesMany(20)
		b.finds("r000003", "p")
		b.wantReads(1, 20)
		time.Sleep(cache.ExpectAfter)
		release := b.fake.hold()
		for range 3 {
			b.finds("r000003", "p")
		}
		b.wantReads(1, 0) // and it hangs
		release()
		b.wantReads(0, 20)
		for range 49 {
			time.Sleep(time.Second)
			b.finds("r000003", "p")
		}
		b.wantReads(0, 0)
		time.Sleep(time.Second)
		b.finds("r000003", "p")
		b.wantReads(1, 20)
		time.Sleep(time.Hour)
		b.wantReads(0, 0) // since nobody asks
	})
}

// A look that fails is not made again for each who asks.
func TestLooksThatFail(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.storesMany(3)
		b.finds("r000000", "p")
		b.wantReads(1, 3)
		b.fake.fail(func(string) bool { return true })
		time.Sleep(cache.ExpectAfter)
		for range 3 {
			b.finds("r000000", "p")
			synctest.Wait()
		}
		b.wantReads(1, 0)
		time.Sleep(cache.RetryAfter)
		b.finds("r000000", "p")
		b.wantReads(1, 0)
	})
}

// Where there are many rules, a look reads some of them, and those that grant something
// are read about once a minute each.
func TestLooksAtManyRules(t *testing.T) {
	inBubble(t, func(b *bed) {
		const n = 5*readsOfALook + 7
		b.storesMany(n)
		b.finds("r000000", "p")
		b.wantReads(1, n)
		time.Sleep(cache.BelieveFor)
		b.finds("r000000", "p")
		b.wantReads(1, readsOfALook)

		confirm := func(want bool, names ...string) {
			t.Helper()
			if again, err := b.Confirm(b.t.Context(), b.fake, names); again != want || err != nil {
				t.Errorf("again: %t, %v", again, err)
			}
		}
		b.deletes("r004500")
		b.stores("r004501", "q")
		confirm(true, "r004500", "r004501", "r004502")
		b.wantReads(0, 3)
		b.finds("r004501", "q")
		b.finds("r004500", "")
		confirm(false, "r004501", "r004502")
		b.wantReads(0, 0)
		time.Sleep(cache.BelieveFor)
		b.finds("r000000", "p")
		b.fake.fail(func(name string) bool { return name == "r004502" })
		if _, err := b.Confirm(b.t.Context(), b.fake, []string{"r004502"}); !errors.Is(err, errSealed) {
			t.Errorf("got %v", err)
		}
		b.fake.fail(nil)

		for i := range 100 { // what is confirmed is forgotten
			confirm(true, fmt.Sprintf("r%06d", i))
		}
		time.Sleep(cache.BelieveFor)
		b.finds("r000000", "p")
		if n := b.remembered(); n != 0 {
			t.Errorf("%d names are remembered", n)
		}
		for range 5 { // each has had its turn
			b.stores("r004503", "q")
			b.deletes("r000001")
			time.Sleep(cache.BelieveFor)
			b.finds("r000001", "")
		}
		b.finds("r004503", "q")
	})
}

func TestFewRulesNeedNotBeConfirmed(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.storesMany(readsOfALook)
		b.finds("r000000", "p")
		if again, err := b.Confirm(b.t.Context(), b.fake, []string{"r000000"}); again || err != nil {
			t.Errorf("again: %t, %v", again, err)
		}
	})
}

// Everything at once, with the clock running.
func TestStoreAtTheSameTime(t *testing.T) {
	inBubble(t, func(b *bed) {
		b.storesMany(10)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				name := fmt.Sprintf("own-%d", i)
				for round := range 100 {
					grants := fmt.Sprintf("p%d", round)
					b.stores(name, grants)
					b.Changed(name)
					b.finds(name, grants)
					time.Sleep(time.Duration(i*round) * 10 * time.Millisecond)
					b.deletes(name)
					b.Changed(name)
					b.finds(name, "")
					b.finds("r000001", "p")
				}
			})
		}
		all.Wait()
	})
}
