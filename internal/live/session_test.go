package live

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

func TestParseUID(t *testing.T) {
	if id, ok := parseUID("01234567-89ab-cdef-0123-456789abcdef"); !ok || id[0] != 0x01 || id[15] != 0xef {
		t.Errorf("%x, %t", id, ok)
	}
	for _, text := range []string{
		"", "uid-1", "01234567-89AB-cdef-0123-456789abcdef", "0123456789ab-cdef-0123-456789abcdef-",
		"01234567-89ab-cdef-0123-456789abcdeg", "01234567-89ab-cdef-0123-456789abcdef0", "{1234567-89ab-cdef-0123-456789abcdef",
	} {
		if _, ok := parseUID(text); ok {
			t.Errorf("%q is taken for a uid", text)
		}
	}
}

func uidOf(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// What was known long ago must not count as known now since a list arrived between.
func TestLooksAreOfOneMoment(t *testing.T) {
	at := func(d time.Duration) clock.Moment { return clock.Moment{Running: d} }
	id, _ := parseUID(uidOf(1))
	for range 2000 {
		s := newStore()
		s.replace(map[uid]bool{id: false}, at(0), at(0), true)
		go s.replace(map[uid]bool{}, at(time.Hour), at(time.Hour), true)
		for {
			is, asOf, _ := s.look(uidOf(1))
			if is == gone {
				break
			}
			if asOf != at(0) {
				t.Fatalf("the object is %d as of %s, when it was not there", is, asOf.Running)
			}
		}
	}
}

func TestStore(t *testing.T) {
	s, at := newStore(), func(d time.Duration) clock.Moment { return clock.Moment{Running: d} }
	want := func(n int, want state) {
		t.Helper()
		if got, _, _ := s.look(uidOf(n)); got != want {
			t.Errorf("object %d is %d, want %d", n, got, want)
		}
	}
	want(1, missing)
	s.put(uidOf(1), false)
	s.put(uidOf(2), true)
	want(1, present)
	want(2, deleting)
	s.bury(uidOf(1), at(time.Second))
	s.bury(uidOf(3), at(time.Second)) // of which nobody heard before
	want(1, gone)
	want(3, gone)
	kept, _ := parseUID(uidOf(4))
	s.replace(map[uid]bool{kept: false}, at(2*time.Second), at(2*time.Second), true)
	want(2, gone) // not in the list
	want(4, present)
	// Deletions are remembered for a while, and no more than so many.
	s.bury(uidOf(5), at(2*time.Second+rememberGone))
	want(1, missing)
	for n := range maxGone + 10 {
		s.bury(uidOf(100+n), at(3*time.Second+rememberGone))
	}
	if len(s.gone) > maxGone || len(s.order) > maxGone {
		t.Errorf("%d deletions are remembered, %d in order", len(s.gone), len(s.order))
	}
	want(5, missing)
	want(100+maxGone+9, gone)
}

// bubble is a history in which nothing happens by itself.
func bubble(t *testing.T, test func(h *history)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		h := newHistory(1, DefaultStaleness)
		test(h)
		h.session.end()
		synctest.Wait()
	})
}

func (h *history) review(t *testing.T, changes ...kubetest.Change) error {
	t.Helper()
	changes = append([]kubetest.Change{kubetest.Audience("vault"), h.server.BoundToPod("web-1")}, changes...)
	return h.reviewRaw(t, h.server.Token("apps", "web", changes...))
}

func (h *history) reviewRaw(t *testing.T, raw string) error {
	t.Helper()
	unverified, err := token.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.reviewer.Review(context.Background(), unverified, []string{"vault"})
	return err
}

// settle lets a session begin and learn what there is.
func (h *history) settle() {
	h.session.want()
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

func TestSessionBeginsWithALoginAndEndsWithout(t *testing.T) {
	bubble(t, func(h *history) {
		if h.session.State().Following {
			t.Error("followed before there was a login")
		}
		if err := h.review(t); !errors.Is(err, errAsked) {
			t.Errorf("the first login: %v", err)
		}
		h.settle()
		if err := h.review(t); err != nil {
			t.Errorf("once followed: %v", err)
		}
		if s := h.session.State(); !s.Following || !s.Known || s.Pods != len(pods) || s.ServiceAccounts != len(names)+1 || s.Age > DefaultStaleness {
			t.Errorf("%+v", s)
		}
		time.Sleep(Idle - 10*time.Second)
		synctest.Wait()
		if err := h.review(t); err != nil {
			t.Errorf("nearly idle: %v", err)
		}
		time.Sleep(Idle + Idle/5)
		synctest.Wait()
		if s := h.session.State(); s.Following || s.Pods != 0 {
			t.Errorf("without logins: %+v", s)
		}
		if err := h.review(t); !errors.Is(err, errAsked) {
			t.Errorf("after a rest: %v", err)
		}
		h.settle()
		if err := h.review(t); err != nil {
			t.Errorf("followed anew: %v", err)
		}
	})
}

func TestOnlyWhatNeedsNoAnswerIsRefused(t *testing.T) {
	stranger := kubetest.NewECDSAKey()
	bubble(t, func(h *history) {
		h.settle()
		pretender := stranger
		pretender.ID = h.server.ECDSAKey().ID
		bound := h.server.Token("apps", "web", kubetest.Audience("vault"), h.server.BoundToPod("web-1"))
		h.server.DeletePod("apps", "web-1")
		h.server.AddPod("apps", "web-1", "")
		synctest.Wait()
		var refused *refusal.Refusal
		if err := h.reviewRaw(t, bound); !errors.Is(err, ErrDeleted) || !errors.As(err, &refused) || refused.Kind != refusal.Denied {
			t.Errorf("a pod that was seen deleted: %v", err)
		}
		if err := h.review(t, kubetest.SignedWith(pretender)); !errors.Is(err, token.ErrSignature) {
			t.Errorf("a forgery by a known name: %v", err)
		}
		for name, change := range map[string]kubetest.Change{
			"unknown key":    kubetest.SignedWith(stranger),
			"another issuer": kubetest.Claim("iss", "https://other"),
			"nearly expired": kubetest.Expiry(time.Now().Add(time.Minute)),
			"not valid yet":  kubetest.Claim("nbf", time.Now().Add(time.Second).Unix()),
			"of a node": func(d *kubetest.Draft) {
				delete(d.Claims["kubernetes.io"].(map[string]any), "pod")
				h.server.BoundToNode("n")(d)
			},
			"of a secret":                          h.server.BoundToSecret("s"),
			"unknown claim":                        func(d *kubetest.Draft) { d.Claims["kubernetes.io"].(map[string]any)["podgroup"] = "x" },
			"unknown account":                      kubetest.Subject("apps", "nobody", uidOf(999)),
			"a uid that Kubernetes does not write": kubetest.Subject("apps", "web", "uid-1"),
		} {
			if err := h.review(t, change); !errors.Is(err, errAsked) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := h.reviewRaw(t, h.server.LegacyToken("apps", "web", "legacy")); !errors.Is(err, errAsked) {
			t.Errorf("a legacy token: %v", err)
		}
		if err := h.review(t); err != nil {
			t.Errorf("a good one: %v", err)
		}
	})
}

// While the API server is away logins go on for as long as the staleness, and it is asked
// from then on.
func TestOutage(t *testing.T) {
	bubble(t, func(h *history) {
		h.settle()
		h.set(func() { h.down = true })
		h.server.CutWatches()
		time.Sleep(DefaultStaleness / 3)
		synctest.Wait()
		if err := h.review(t); err != nil {
			t.Errorf("right after: %v", err)
		}
		time.Sleep(DefaultStaleness)
		synctest.Wait()
		if err := h.review(t); !errors.Is(err, errAsked) {
			t.Errorf("after the staleness: %v", err)
		}
		h.set(func() { h.down = false })
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if err := h.review(t); err != nil {
			t.Errorf("once it is back: %v", err)
		}
	})
}

// A suspended machine does not know that time passed, by one of its clocks.
func TestSuspended(t *testing.T) {
	bubble(t, func(h *history) {
		h.settle()
		if err := h.review(t); err != nil {
			t.Fatal(err)
		}
		h.set(func() { h.step = time.Minute })
		if err := h.review(t); !errors.Is(err, errAsked) {
			t.Errorf("a minute later by the wall: %v", err)
		}
	})
}

// A clock that was set back would make an expired token good again, were it not compared
// with the API server's.
func TestClockThatWasSetBack(t *testing.T) {
	for _, trusting := range []bool{false, true} {
		bubble(t, func(h *history) {
			h.settle()
			expired := h.server.Token("apps", "web", kubetest.Audience("vault"), h.server.BoundToPod("web-1"), kubetest.Lifetime(10*time.Minute))
			for range 12 {
				time.Sleep(time.Minute)
				h.session.want()
			}
			h.set(func() { h.step, h.trusting = -5*time.Minute, trusting })
			time.Sleep(10 * time.Second)
			synctest.Wait()
			switch err := h.reviewRaw(t, expired); {
			case !trusting && !errors.Is(err, errAsked):
				t.Errorf("an expired token: %v", err)
			case trusting && err != nil:
				t.Errorf("the test would not notice: %v", err)
			}
		})
	}
}

func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHistory(1, DefaultStaleness).wire
		var shared Shared
		connected := 0
		options := Options{
			Connect: func() (Cluster, error) { connected++; return w, nil },
			Clock:   w.clock, Staleness: DefaultStaleness, Failed: func(error) {},
		}
		a, leaveA := shared.Join("one", options)
		b, leaveB := shared.Join("one", options)
		other, leaveOther := shared.Join("two", options)
		a.want()
		b.want()
		synctest.Wait()
		if connected != 1 || a != b || a == other || shared.Len() != 2 {
			t.Errorf("%d connections of two mounts, %d sessions", connected, shared.Len())
		}
		leaveA()
		leaveA()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !b.State().Known {
			t.Error("the session ended with the first who left")
		}
		leaveB()
		leaveOther()
		synctest.Wait()
		if b.State().Following || shared.Len() != 0 {
			t.Error("the session goes on although all left")
		}
		if b.want() != nil && b.State().Following {
			t.Error("a login in flight began it anew")
		}
	})
}
