package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// published is an API server that publishes its keys to who is let in, where each login asks
// by its own token.
type published struct {
	*SigningKeys
	good, forged *token.Unverified

	mu    sync.Mutex
	now   time.Time
	asked []string
	hold  map[string]chan struct{} // until when an answer is held back, by who asks
	// timers are those of who waits, which pass ends.
	timers []chan time.Time
}

func newPublished(t *testing.T) *published {
	t.Helper()
	s := kubetest.Start(t)
	s.AddServiceAccount("apps", "web")
	parse := func(text string) *token.Unverified {
		parsed, err := token.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	text := s.Token("apps", "web")
	p := &published{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), hold: map[string]chan struct{}{}}
	p.good = parse(text)
	p.forged = parse(text[:strings.LastIndexByte(text, '.')+1] + strings.Repeat("A", 86))
	p.SigningKeys = newSigningKeys(t.Context(), func(_ context.Context, asker string) ([]byte, error) {
		p.mu.Lock()
		p.asked = append(p.asked, asker)
		hold := p.hold[asker]
		p.mu.Unlock()
		if hold != nil {
			<-hold
		}
		if asker != p.good.Raw() {
			return nil, &kube.Error{Op: kube.OpSigningKeys, Failure: kube.Unauthorized, Err: errors.New("Unauthorized")}
		}
		return s.KeySet(), nil
	}, func() bool { return true }, p.time, p.timer)
	return p
}

func (p *published) time() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *published) timer(time.Duration) <-chan time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	timer := make(chan time.Time)
	p.timers = append(p.timers, timer)
	return timer
}

func (p *published) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.timers)
}

// pass lets time pass, and ends the waiting of the first who wait.
func (p *published) pass(d time.Duration, first int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
	for range first {
		close(p.timers[0])
		p.timers = p.timers[1:]
	}
}

// askedBy is who asked since the last time.
func (p *published) askedBy() (asked []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked, p.asked = p.asked, nil
	return asked
}

// Whoever is not let in is refused himself, and nobody else who waits for the same reading.
func TestReadingByAStrangerIsHisAlone(t *testing.T) {
	p := newPublished(t)
	var refused *refusal.Refusal
	stranger := func() {
		if err := p.Verify(t.Context(), p.forged, p.forged); !errors.As(err, &refused) || refused.Kind != refusal.Denied {
			t.Errorf("who is not let in gets %v", err)
		}
	}
	stranger() // so that the others have to wait for the next
	held := make(chan struct{})
	p.hold[p.forged.Raw()] = held
	var all sync.WaitGroup
	all.Go(stranger)
	eventually(t, func() bool { return p.waiting() == 1 })
	const others = 20
	for range others {
		all.Go(func() {
			if err := p.Verify(t.Context(), p.good, p.good); err != nil {
				t.Errorf("who waits for the same reading gets %v", err)
			}
		})
	}
	eventually(t, func() bool { return p.waiting() == 1+others })
	p.pass(KeysAtMostEvery, 1)
	eventually(t, func() bool { return p.State().Reading })
	p.pass(0, others) // they join the stranger's
	close(held)
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	eventually(t, func() bool {
		p.pass(KeysAtMostEvery, p.waiting())
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

// Keys that get old are read anew by who has a token of the cluster: nobody else is let in,
// and that would be all that is tried.
func TestStrangersDoNotKeepKeysOld(t *testing.T) {
	p := newPublished(t)
	if err := p.Verify(t.Context(), p.good, p.good); err != nil {
		t.Fatal(err)
	}
	p.askedBy()
	p.pass(KeysAtLeastEvery, 0)
	for range 3 {
		if err := p.Verify(t.Context(), p.forged, p.forged); err == nil {
			t.Error("a forged token is let in")
		}
		p.pass(KeysAtMostEvery, 0)
	}
	if asked := p.askedBy(); len(asked) != 0 {
		t.Errorf("a forged token has the keys read %d times", len(asked))
	}
	since := p.State().Since
	if err := p.Verify(t.Context(), p.good, p.good); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return p.State().Since.After(since) })
}

// eventually waits for what others bring about.
func eventually(t *testing.T, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}
