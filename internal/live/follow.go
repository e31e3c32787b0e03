package live

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/kube"
)

const (
	// maxSkew is how far the API server's clock, which tells whole seconds, may be from
	// this machine's. Tokens are not judged within a minute of their ends.
	maxSkew = 20 * time.Second
	// shortPause and longPause are between attempts where the API server is down, and
	// where it does not let the reviewer watch; a list is made anew no sooner than
	// listEvery after the one before.
	shortPause = 250 * time.Millisecond // and twice as long each time, up to 2 s
	longPause  = 15 * time.Second
	listEvery  = 5 * time.Second
)

// follower keeps a store up to date, by a list and then one short watch after the other.
//
// A watch may be silent since nothing happens, or since nobody is there any more. What
// tells is a bookmark: it comes after everything that the API server's cache held when it
// was sent, and it was sent after the watch was asked for. kube-apiserver sends one two
// seconds before the end that a watch is given, so a watch is given a short one, the next
// begins with the bookmark, and what is known is at most two watches old.
//
//	list ──> watch ──bookmark──> watch ──bookmark──> …
//	  ^        │ the API server forgot, or no bookmark for long
//	  └────────┘
type follower struct {
	cluster Cluster
	kind    kube.Kind
	store   *store
	clock   clock.Clock
	// while is how long a watch is asked for, and staleness how old what is known may be.
	while, staleness time.Duration
	failed           func(error)

	version string // from which the next watch goes on; "" for a list
	listed  clock.Moment
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	pause := shortPause
	for ctx.Err() == nil {
		err := f.step(ctx)
		if err == nil || ctx.Err() != nil {
			pause = shortPause
			continue
		}
		if at, ok := f.store.asOf(); !errors.Is(err, errUnproven) || !ok || !at.Within(f.staleness, f.clock()) {
			f.failed(err) // a watch that proved nothing is nothing to tell while what is known is young
		}
		var failed *kube.Error
		if errors.As(err, &failed) && (failed.Failure == kube.Forbidden || failed.Failure == kube.Unauthorized) {
			pause = longPause
		}
		sleep(ctx, pause/2+rand.N(pause)) //nolint:gosec // spreads requests and hides nothing
		pause = min(2*pause, 2*time.Second)
	}
}

// step is one list or one watch.
func (f *follower) step(ctx context.Context) error {
	if f.version == "" {
		return f.list(ctx)
	}
	proven, err := f.watch(ctx)
	now := f.clock()
	if errors.Is(err, kube.ErrTooOld) {
		f.version = ""
		return nil
	}
	if err == nil && !proven {
		proven, err = f.isNewest(ctx)
	}
	if at, ok := f.store.asOf(); !proven && (!ok || !at.Within(2*f.staleness, now)) && now.Running-f.listed.Running >= listEvery {
		f.version = "" // a watch that proves nothing is of no use
	}
	if err == nil && !proven {
		err = errUnproven
	}
	return err
}

// errUnproven is about a watch that ended without a bookmark.
var errUnproven = errors.New("the watch ended without a bookmark")

func (f *follower) list(ctx context.Context) error {
	if began := f.clock(); f.listed != (clock.Moment{}) && began.Running-f.listed.Running < listEvery {
		sleep(ctx, listEvery-(began.Running-f.listed.Running))
	}
	began := f.clock()
	f.listed = began
	found := make(map[uid]bool, f.store.size())
	version, seen, err := f.cluster.ListUIDs(ctx, f.kind, func(e kube.Event) {
		if id, ok := parseUID(e.UID); ok {
			found[id] = e.Deleting
		}
	})
	if err != nil {
		return err
	}
	f.store.replace(found, began, f.clock(), isNear(seen))
	f.version = version
	return nil
}

// watch follows until a bookmark, which proves that all is known that the API server knew
// when the watch began.
func (f *follower) watch(ctx context.Context) (proven bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := f.clock()
	_, err = f.cluster.WatchUIDs(ctx, f.kind, justBefore(f.version), f.while, func(e kube.Event) {
		switch {
		case e.Bookmark && isBefore(e.Version, f.version):
			return // of an API server that is behind the one that was asked before
		case e.Bookmark:
			f.store.prove(began, isNear(e.Seen))
			proven = true
			cancel()
		case e.Gone:
			f.store.bury(e.UID, f.clock())
		default:
			f.store.put(e.UID, e.Deleting)
		}
		f.version = e.Version
	})
	if proven {
		return true, nil
	}
	return false, err
}

// isNewest asks whether anything was stored since what is known. kube-apiserver sends no
// bookmark either where the last thing that happened to anything is what it just told, and
// this makes it look, so that the next watch has one if there is something.
func (f *follower) isNewest(ctx context.Context) (bool, error) {
	began := f.clock()
	newest, seen, err := f.cluster.NewestVersion(ctx, f.kind)
	if err != nil || newest != f.version {
		return false, err
	}
	f.store.prove(began, isNear(seen))
	return true, nil
}

// justBefore is the version before one. kube-apiserver sends no bookmark of the version that
// a watch was asked to go on from, so where nothing happens none would come.
func justBefore(version string) string {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil || n < 2 {
		return version
	}
	return strconv.FormatUint(n-1, 10)
}

// isBefore compares resourceVersions, which are numbers that grow. Those that are not, as
// some servers that are not kube-apiserver have them, are not before each other.
func isBefore(a, b string) bool {
	first, errA := strconv.ParseUint(a, 10, 64)
	second, errB := strconv.ParseUint(b, 10, 64)
	return errA == nil && errB == nil && first < second
}

// isNear tells whether the API server showed a clock that is near this machine's.
func isNear(seen kube.Observation) bool {
	apart := seen.Date.Sub(seen.At)
	return !seen.Date.IsZero() && apart > -maxSkew-seen.Took && apart < maxSkew
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
