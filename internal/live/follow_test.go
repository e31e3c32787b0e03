package live

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/kube"
)

// busyElsewhere is a cluster that stores all the time, and nothing of what is followed: its
// watches end without a bookmark, and the newest version is another each time.
type busyElsewhere struct {
	Cluster

	now func() time.Time
}

func (c busyElsewhere) seen() kube.Observation {
	return kube.Observation{At: c.now(), Date: c.now(), Answered: true}
}

func (c busyElsewhere) ListUIDs(context.Context, kube.Kind, func(kube.Event)) (string, kube.Observation, error) {
	return "10", c.seen(), nil
}

func (c busyElsewhere) NewestVersion(context.Context, kube.Kind) (string, kube.Observation, error) {
	return "11", c.seen(), nil
}

func (c busyElsewhere) WatchUIDs(ctx context.Context, _ kube.Kind, _ string, while time.Duration, _ func(kube.Event)) (kube.Observation, error) {
	sleep(ctx, while)
	return c.seen(), ctx.Err()
}

// Operators are not told that a cluster cannot be followed while what is known of it counts.
func TestOneWatchThatProvedNothingIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var failures []time.Duration
		f := &follower{
			cluster: busyElsewhere{now: time.Now}, kind: kube.Pods, store: newStore(),
			clock: clock.Of(time.Now), while: 4 * time.Second, staleness: DefaultStaleness,
			failed: func(err error) {
				if !errors.Is(err, errUnproven) {
					t.Error(err)
				}
				failures = append(failures, time.Since(begun))
			},
		}
		go f.run(ctx)
		time.Sleep(2*DefaultStaleness - time.Second)
		cancel()
		synctest.Wait()
		if len(failures) == 0 || failures[0] < DefaultStaleness {
			t.Errorf("failures were told after %v, and what is known counts for %s", failures, DefaultStaleness)
		}
	})
}
