package upstream_test

import (
	"errors"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

var (
	start     = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	errReason = errors.New("connection refused")
)

func at(d time.Duration) time.Time { return start.Add(d) }

// down is a circuit whose API server gave no answer to the last requests.
func down(t *testing.T) *upstream.Circuit {
	t.Helper()
	c := &upstream.Circuit{}
	for range upstream.DownAfter {
		if may, _ := c.Ask(at(0)); !may {
			t.Fatal("a request is held back before the API server is known to be down")
		}
		c.Failed(at(0), at(0), false, errReason)
	}
	return c
}

func TestAnAPIServerThatIsDownIsAskedByFew(t *testing.T) {
	c := down(t)
	asked := 0
	for i := range 1000 { // for ten seconds, a hundred a second
		now := at(time.Duration(i) * 10 * time.Millisecond)
		if peeked, _ := c.Peek(now); !peeked {
			if may, last := c.Ask(now); may || !errors.Is(last, errReason) {
				t.Fatalf("a peek says no, asking says %t, %v", may, last)
			}
			continue
		}
		if may, _ := c.Ask(now); may {
			asked++
			c.Failed(now, now, false, errReason)
		}
	}
	if want := int(10 * time.Second / upstream.ProbeEvery); asked < want-1 || asked > want {
		t.Errorf("%d requests were let through in ten seconds, want %d", asked, want)
	}
	if state := c.State(); !state.Down || !state.Since.Equal(at(0)) {
		t.Errorf("the state is %+v", state)
	}
}

// The return is noticed by the first answer, and there is one within ProbeEvery.
func TestAnAPIServerThatReturnsIsUpAtOnce(t *testing.T) {
	c := down(t)
	if may, _ := c.Ask(at(upstream.ProbeEvery)); !may {
		t.Fatal("nobody may find out that it has returned")
	}
	c.Answered(at(upstream.ProbeEvery + 1))
	for range 100 {
		if may, _ := c.Ask(at(upstream.ProbeEvery + 2)); !may {
			t.Fatal("a request is held back although the API server answers")
		}
	}
	if state := c.State(); state != (upstream.CircuitState{}) {
		t.Errorf("the state is %+v", state)
	}
}

// A probe that hangs does not keep the next one from going out.
func TestProbesDoNotWaitForOneAnother(t *testing.T) {
	c := down(t)
	for i := 1; i <= 5; i++ {
		if may, _ := c.Ask(at(time.Duration(i) * upstream.ProbeEvery)); !may {
			t.Errorf("probe %d is held back", i)
		}
	}
}

// Those who hang while others are answered are no sign that the API server is down, be
// there as many as there may.
func TestAnswersBetweenFailuresKeepItUp(t *testing.T) {
	c := &upstream.Circuit{}
	c.Answered(at(time.Second))
	for range 100 {
		c.Failed(at(0), at(10*time.Second), false, errReason) // began before the answer
	}
	if may, _ := c.Ask(at(10 * time.Second)); !may {
		t.Error("failures that began before the last answer count")
	}
	for range 100 {
		for range upstream.DownAfter - 1 {
			c.Failed(at(11*time.Second), at(11*time.Second), false, errReason)
		}
		c.Answered(at(11 * time.Second))
	}
	if may, _ := c.Ask(at(11 * time.Second)); !may {
		t.Error("failures count that are not in a row")
	}
}

// A connection that ends takes all that is under way with it. They are one sign, and their
// second attempts, over other connections, are the ones that tell.
func TestTheEndOfAConnectionIsOneSign(t *testing.T) {
	c := &upstream.Circuit{}
	for range 100 {
		c.Failed(at(0), at(0), true, errReason)
	}
	if state := c.State(); state.Down || state.Failures != 1 {
		t.Fatalf("a connection that ended: %+v", state)
	}
	for range upstream.DownAfter - 1 {
		c.Failed(at(0), at(0), false, errReason)
	}
	if !c.State().Down {
		t.Error("it is not down although new connections bring no answer")
	}
	c.Answered(at(time.Second))
	c.Failed(at(2*time.Second), at(2*time.Second), true, errReason)
	if state := c.State(); state.Failures != 1 {
		t.Errorf("the next connection that ends: %+v", state)
	}
}

// Who waits for the return of an API server hears of its first answer, and when somebody
// may ask.
func TestBack(t *testing.T) {
	c := &upstream.Circuit{}
	if back, due := c.Back(), c.Due(at(0)); back != nil || due != upstream.ProbeEvery {
		t.Errorf("it is up, and one may wait for its return: %v, %s", back != nil, due)
	}
	c = down(t)
	back := c.Back()
	if due := c.Due(at(upstream.ProbeEvery / 5)); due != upstream.ProbeEvery*4/5 {
		t.Errorf("the next probe is due in %s", due)
	}
	if due := c.Due(at(time.Minute)); due != 0 {
		t.Errorf("a probe that is due long since is due in %s", due)
	}
	select {
	case <-back:
		t.Error("it is back before it answered")
	default:
	}
	c.Answered(at(time.Second))
	select {
	case <-back:
	default:
		t.Error("its answer was not told")
	}
}
