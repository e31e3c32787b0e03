package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRevocationGivenUp has an operator whose client hangs up while it revokes: a
// timeout, Ctrl-C, a load balancer. Nobody has told the operator that it was done; but
// once the mount shows it, it is.
func TestRevocationGivenUp(t *testing.T) {
	v := newVault(t, nil)
	yes, no := newFakeAPI(t, vouches), newFakeAPI(t, denies)
	for _, r := range revocations(yes, no) {
		for _, method := range r.methods {
			t.Run(r.name+", "+method, func(t *testing.T) {
				giveUp(t, newMountIn(t, v, method, yes), r)
			})
		}
	}
}

func giveUp(t *testing.T, m mount, r revocation) {
	jwt, count := kube.newToken(t), scaled(100, 400, 2000)
	usual := r.usualTime(t, m, jwt)
	names := make([]string, count)
	var hungUp, unseen, atOnce, later int
	for i := range names {
		names[i] = fmt.Sprintf("r%04d", i)
		r.mustGrant(t, m, names[i], jwt)
		// From a fraction of the usual time to all of it, so that some hang up in the
		// middle of whatever is done, on a fast machine and on a slow one.
		patience := time.Duration(float64(usual) * (0.1 + float64(i)/float64(count)))
		done, err := r.revokeWithin(m, names[i], patience)
		if err != nil {
			t.Fatal(err)
		}
		if !done {
			hungUp++
		}
		shows := false
		for tries := 0; tries < 5 && !shows; tries++ {
			shows = r.reads(t, m, names[i])
		}
		if shows && !done {
			unseen++
		}
		if shows && r.mustTell(t, m, names[i], jwt) {
			atOnce++
		}
	}
	for _, name := range names {
		if r.reads(t, m, name) && r.mustTell(t, m, name, jwt) {
			later++
		}
	}
	t.Logf("usual time %v; of %d revocations %d were given up, %d of them took effect; let in: %d at once, %d a moment later",
		usual, count, hungUp, unseen, atOnce, later)
	if unseen == 0 {
		t.Error("no revocation that was given up took effect, so this has shown nothing")
	}
	if atOnce+later > 0 {
		t.Errorf("%d logins at once and %d a moment later got what the mount shows as revoked", atOnce, later)
	}
}

// usualTime is the median of how long the whole request takes.
func (r revocation) usualTime(t *testing.T, m mount, jwt string) time.Duration {
	t.Helper()
	var all []time.Duration
	for range 25 {
		r.mustGrant(t, m, "usual", jwt)
		all = append(all, m.mustSend(t, r.revoke("usual")).took)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// revokeWithin tells whether the answer came in time.
func (r revocation) revokeWithin(m mount, name string, patience time.Duration) (done bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request := r.revoke(name)
	a, err := askUntil(ctx, m.addr, m.token, request.method, "auth/"+m.path+"/"+request.path, request.body)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return false, nil
	case err == nil && a.status >= http.StatusBadRequest:
		return false, fmt.Errorf("%s %s: %v", request.method, request.path, a)
	}
	return err == nil, err
}

// mustTell is login for the test's own goroutine.
func (r revocation) mustTell(t *testing.T, m mount, name, jwt string) (granted bool) {
	t.Helper()
	granted, err := r.login(m, name, jwt)
	if err != nil {
		t.Fatal(err)
	}
	return granted
}

// TestRevocationCounts has many log in at once as soon as a revocation was
// acknowledged: with nobody about before, and while others log in all the time.
func TestRevocationCounts(t *testing.T) {
	v := newVault(t, nil)
	yes, no := newFakeAPI(t, vouches), newFakeAPI(t, denies)
	for _, r := range revocations(yes, no) {
		for _, others := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s, %d others", r.name, others), func(t *testing.T) {
				m := newMountIn(t, v, ours, yes)
				jwt := kube.newToken(t)
				rounds := scaled(20, 50, 1000)
				if r.role("any") == "" { // all rules are kept together
					rounds = scaled(50, 300, 1000)
				}
				stop := r.keepLoggingIn(t, m, jwt, others)
				revokeAndLogIn(t, m, r, jwt, rounds)
				stop()
			})
		}
	}
}

func revokeAndLogIn(t *testing.T, m mount, r revocation, jwt string, rounds int) {
	t.Helper()
	const clients = 16
	var granted atomic.Int64
	for i := range rounds {
		name := fmt.Sprintf("r%04d", i)
		r.mustGrant(t, m, name, jwt)
		m.mustSend(t, r.revoke(name))
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				switch in, err := r.login(m, name, jwt); {
				case err != nil:
					t.Error(err)
				case in:
					granted.Add(1)
				}
			})
		}
		group.Wait()
	}
	if granted.Load() > 0 {
		t.Errorf("%d of %d logins got what was revoked before", granted.Load(), clients*rounds)
	}
}

// keepLoggingIn is others that log in by the same way, under a role and by a rule
// that stay. What they get depends on the moment.
func (r revocation) keepLoggingIn(t *testing.T, m mount, jwt string, clients int) (stop func()) {
	t.Helper()
	const stays = "stays"
	if clients > 0 {
		m.mustSend(t, r.grant(stays))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for ctx.Err() == nil {
				if _, err := r.login(m, stays, jwt); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stop = func() { cancel(); group.Wait() }
	t.Cleanup(stop)
	return stop
}

// TestRevocationShown is for whoever looks whether a revocation is done, while it is
// under way and others log in by what it takes away: once it shows, it counts.
func TestRevocationShown(t *testing.T) {
	v := newVault(t, nil)
	yes, no := newFakeAPI(t, vouches), newFakeAPI(t, denies)
	for _, r := range revocations(yes, no) {
		t.Run(r.name, func(t *testing.T) {
			m, jwt := newMountIn(t, v, ours, yes), kube.newToken(t)
			rounds, granted := scaled(50, 200, 1000), 0
			for i := range rounds {
				name := fmt.Sprintf("r%04d", i)
				r.mustGrant(t, m, name, jwt)
				if r.revokeAndLook(t, m, name, jwt) {
					granted++
				}
			}
			if granted > 0 {
				t.Errorf("%d of %d logins got what the mount showed as revoked before", granted, rounds)
			}
		})
	}
}

// revokeAndLook tells whether a login that was sent after the revocation showed is
// granted what was revoked.
func (r revocation) revokeAndLook(t *testing.T, m mount, name, jwt string) (granted bool) {
	t.Helper()
	var group sync.WaitGroup
	var looked atomic.Bool
	for range 2 {
		group.Go(func() {
			for !looked.Load() {
				if _, err := r.login(m, name, jwt); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Go(func() {
		if a, err := m.send(r.revoke(name)); err != nil || a.status >= http.StatusBadRequest {
			t.Errorf("revoke %s: %v, %v", name, a, err)
		}
	})
	defer group.Wait()
	defer looked.Store(true)
	for end := time.Now().Add(time.Minute); !r.reads(t, m, name); {
		if time.Now().After(end) {
			t.Fatalf("%s is not revoked after a minute", name)
		}
	}
	return r.mustTell(t, m, name, jwt)
}
