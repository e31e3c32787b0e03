package cluster

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"vault-plugin-auth-kubernetes/internal/cache"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// maxAwaiting is how many logins wait for a reading of the keys at a time. Others are
// told to come again: anybody can make a token name a key that nobody knows.
const maxAwaiting = 1000

// SigningKeys are the keys with which a cluster signs its tokens, read when they are
// first needed and followed as they rotate. Nobody waits for a reading whose token names
// a key that is known.
type SigningKeys struct {
	fetch      func(ctx context.Context, loginToken string) ([]byte, error)
	selfReview func() bool
	now        func() time.Time
	after      func(d time.Duration) <-chan time.Time
	reading    *cache.Group[struct{}, struct{}]
	ring       keyring
	awaiting   atomic.Int64
}

// newSigningKeys makes keys whose readings end with ctx.
func newSigningKeys(ctx context.Context, fetch func(ctx context.Context, loginToken string) ([]byte, error), selfReview func() bool, now func() time.Time, after func(time.Duration) <-chan time.Time) *SigningKeys {
	return &SigningKeys{
		fetch: fetch, selfReview: selfReview, now: now, after: after,
		reading: cache.NewGroup[struct{}, struct{}](ctx, 0),
	}
}

// State is what is known of the keys now.
func (s *SigningKeys) State() KeysState { return s.ring.state() }

// Verify refuses a token that the cluster did not sign; asker is the credential by which keys
// are read where there is no reviewer. That a key is not among the
// cluster's is known only from a reading that began after the token came: without one it
// cannot say, and that is not a denial.
func (s *SigningKeys) Verify(ctx context.Context, t, asker *token.Unverified) error {
	keys, err := s.readBy(ctx, t, asker.Raw())
	if err != nil {
		return err
	}
	return s.judge(keys, t)
}

// KeptFor is how long keys are used that cannot be read anew. It bounds for how long a key
// is believed that was withdrawn meanwhile.
const KeptFor = 24 * time.Hour

// For returns the keys by which Verify judges a token, once they are known.
func (s *SigningKeys) For(ctx context.Context, t *token.Unverified) (token.Keys, error) {
	return s.readBy(ctx, t, t.Raw())
}

func (s *SigningKeys) readBy(ctx context.Context, t *token.Unverified, asker string) (token.Keys, error) {
	keys, came, old := s.ring.come(s.now())
	// Where each login asks by itself, whoever was not let in would have them get old.
	if old && (!s.selfReview() || keys.Verify(t) == nil) {
		s.reading.Begin(struct{}{}, s.read(asker, nil))
	}
	// A token that names no key may be signed with one that is not known, too.
	if s.areKept() && keys.Knows(t) && (t.NamesKey() || keys.Verify(t) == nil) {
		return keys, nil
	}
	return s.await(ctx, t, asker, came)
}

// areKept tells whether the keys that are known are from no longer ago than they are kept.
func (s *SigningKeys) areKept() bool { return s.now().Sub(s.State().Since) < KeptFor }

func (s *SigningKeys) judge(keys token.Keys, t *token.Unverified) error {
	if err := keys.Verify(t); err != nil {
		return refusal.DenyFor(err)
	}
	return nil
}

// await returns what a reading finds that begins from now on, or an earlier one that is
// no worse: it knows the key.
func (s *SigningKeys) await(ctx context.Context, t *token.Unverified, asker string, came int) (token.Keys, error) {
	if s.awaiting.Add(1) > maxAwaiting {
		s.awaiting.Add(-1)
		return token.Keys{}, &refusal.Refusal{Kind: refusal.CouldNotAsk, Class: string(kube.Busy), Reason: "too many logins wait for the cluster's keys"}
	}
	defer s.awaiting.Add(-1)
	own := make(chan error, 1) // how the reading by asker ended, if it was made
	var refused error
	for {
		keys, found, last, failed := s.ring.after(came)
		switch {
		case found || s.areKept() && keys.Knows(t) && keys.Verify(t) == nil:
			return keys, nil
		case refused != nil:
			return keys, s.unread(refused)
		case failed != nil && !s.ofAnother(failed):
			return keys, s.unread(failed)
		case failed != nil:
			came = last
		}
		if err := s.next(ctx, asker, own); err != nil {
			return keys, &refusal.Refusal{Kind: refusal.CouldNotAsk, Class: string(kube.Timeout), Reason: "waiting for the cluster's keys", Err: ctx.Err(), Remedy: "read check, which reads the cluster's keys itself and says why they cannot be had"}
		}
		select {
		case refused = <-own:
		default:
		}
	}
}

// ofAnother tells whether a failure says something of the credential alone by which another
// login has read: anybody can come with one that is not let in.
func (s *SigningKeys) ofAnother(failed error) bool {
	var f *kube.Error
	return s.selfReview() && errors.As(failed, &f) && f.Failure.Refuses()
}

// next waits for the end of the reading that is under way, or makes one when there may
// be one, and tells own how that ended. An error is the caller's own deadline.
func (s *SigningKeys) next(ctx context.Context, asker string, own chan<- error) error {
	if wait := s.ring.wait(s.now()); wait > 0 && !s.ring.state().Reading {
		select {
		case <-s.after(wait): // and look again: somebody else may have read them
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := s.reading.Do(ctx, struct{}{}, s.read(asker, own))
	return err
}

// read is a reading by asker. own, which has room, is told how it ended; nil is for nobody.
func (s *SigningKeys) read(asker string, own chan<- error) cache.Read[struct{}] {
	return cache.Read[struct{}]{From: func(ctx context.Context) (struct{}, error) {
		number := s.ring.begin(s.now())
		keys, err := FetchKeys(ctx, s.fetch, asker)
		s.ring.end(number, keys, err)
		if own != nil {
			own <- err
		}
		return struct{}{}, nil
	}}
}

// unread is for who could not be told whether a key is the cluster's.
func (s *SigningKeys) unread(failed error) error {
	return Refusal(failed, s.selfReview(), kube.Unauthorized, kube.Forbidden)
}

// FetchKeys reads what a cluster publishes. The errors are of type *kube.Error.
func FetchKeys(ctx context.Context, fetch func(ctx context.Context, loginToken string) ([]byte, error), loginToken string) (token.Keys, error) {
	document, err := fetch(ctx, loginToken)
	if err != nil {
		return token.Keys{}, err
	}
	keys, err := token.ParseKeySet(document)
	if err != nil {
		return token.Keys{}, &kube.Error{Op: "read the cluster's keys", Failure: kube.Malformed, Err: err}
	}
	return keys, nil
}
