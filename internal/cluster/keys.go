package cluster

import (
	"context"
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/cache"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// How often a cluster's keys are read: because a token names one that is not known,
// which anybody can make a token do; because there are none yet, and no login can
// succeed before there are; and because they may have been withdrawn.
const (
	KeysAtMostEvery  = 10 * time.Second
	FirstKeysEvery   = time.Second
	KeysAtLeastEvery = 5 * time.Minute
)

// SigningKeys are the keys with which a cluster signs its tokens, read when they are
// first needed and followed as they rotate.
type SigningKeys struct {
	fetch      func(ctx context.Context, loginToken string) ([]byte, error)
	selfReview func() bool
	now        func() time.Time
	reading    *cache.Group[struct{}, struct{}]

	mu     sync.Mutex
	keys   token.Keys
	readAt time.Time // of the keys; zero if there are none yet
	tried  time.Time // the last attempt to read them
	failed error     // of that attempt
}

// newSigningKeys makes keys whose readings end with ctx.
func newSigningKeys(ctx context.Context, client *kube.Client, selfReview func() bool, now func() time.Time) *SigningKeys {
	return &SigningKeys{fetch: client.SigningKeys, selfReview: selfReview, now: now, reading: cache.NewGroup[struct{}, struct{}](ctx, 0)}
}

// Verify refuses a token that the cluster did not sign. Without any keys it cannot
// say, and that is not a denial.
func (c *SigningKeys) Verify(ctx context.Context, t *token.Unverified) error {
	keys, fresh, _ := c.current()
	if !fresh || !keys.Knows(t) {
		if err := c.read(ctx, t.Raw()); err != nil {
			return err
		}
		var failed error
		if keys, _, failed = c.current(); keys.Empty() {
			return c.noKeys(failed)
		}
	}
	if !keys.Knows(t) {
		return refusal.DenyFor(token.ErrSignature)
	}
	if err := keys.Verify(t); err != nil {
		return refusal.DenyFor(err)
	}
	return nil
}

func (c *SigningKeys) noKeys(failed error) error {
	if failed == nil {
		return &refusal.Refusal{Kind: refusal.CouldNotAsk, Operator: true, Class: refusal.ClassConfiguration, Reason: "the cluster's keys were not read yet"}
	}
	return Refusal(failed, c.selfReview(), kube.Unauthorized, kube.Forbidden)
}

func (c *SigningKeys) current() (keys token.Keys, fresh bool, failed error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys, c.now().Sub(c.readAt) < KeysAtLeastEvery, c.failed
}

// read reads the keys, or waits for another login that does. It does nothing if that
// was tried a moment ago. An error is the caller's own deadline.
func (c *SigningKeys) read(ctx context.Context, loginToken string) error {
	_, err := c.reading.Do(ctx, struct{}{}, cache.Read[struct{}]{From: func(ctx context.Context) (struct{}, error) {
		if c.begin() {
			c.finish(FetchKeys(ctx, c.fetch, loginToken))
		}
		return struct{}{}, nil
	}})
	if err != nil {
		return &refusal.Refusal{Kind: refusal.CouldNotAsk, Class: string(kube.Timeout), Reason: "waiting for the cluster's keys", Err: ctx.Err()}
	}
	return nil
}

func (c *SigningKeys) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	every := KeysAtMostEvery
	if c.readAt.IsZero() {
		every = FirstKeysEvery
	}
	if c.now().Sub(c.tried) < every {
		return false
	}
	c.tried = c.now()
	return true
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

// finish takes over what was read. Keys from before stay if that failed: an outage
// makes no key wrong.
func (c *SigningKeys) finish(keys token.Keys, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed = err; err == nil {
		c.keys, c.readAt = keys, c.now()
	}
}
