package cluster

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru"

	"vault-plugin-auth-kubernetes/internal/cache"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// maxRememberedReviews bounds what one mount remembers; an entry is about 500 bytes.
const maxRememberedReviews = 10_000

// rememberingReviewer does not ask again about a token that was confirmed a moment
// ago, and lets logins with the same token share one review. Only confirmations are
// remembered. It keeps no token: entries are found by a keyed hash, with a key that
// never leaves the process.
type rememberingReviewer struct {
	next Reviewer
	ttl  time.Duration
	now  func() time.Time
	// looked is told whether a review was remembered.
	looked func(hit bool)

	// second is the token by which next asks, where it is one of the login's own. What was
	// confirmed with it is for those who have it as well.
	second *token.Unverified

	key     [32]byte
	entries *lru.Cache
	reviews *cache.Group[[sha256.Size]byte, identity.Identity]
}

type rememberedReview struct {
	identity identity.Identity
	until    time.Time
}

// newRememberingReviewer makes one whose reviews end with ctx.
func newRememberingReviewer(ctx context.Context, next Reviewer, ttl time.Duration, now func() time.Time, looked func(hit bool)) *rememberingReviewer {
	r := &rememberingReviewer{next: next, ttl: ttl, now: now, looked: looked}
	r.reviews = cache.NewGroup[[sha256.Size]byte, identity.Identity](ctx, 0)
	if _, err := rand.Read(r.key[:]); err != nil {
		panic(err) // documented never to happen
	}
	entries, err := lru.New(maxRememberedReviews)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	r.entries = entries
	return r
}

// by is one that remembers together with r, for a login that has next ask by a second token of
// its own.
func (r *rememberingReviewer) by(second *token.Unverified, next Reviewer) *rememberingReviewer {
	of := *r
	of.second, of.next = second, next
	return &of
}

// Review is that of the next reviewer, or what it said before.
func (r *rememberingReviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	key := r.keyOf(t, audiences)
	id, ok := r.remembered(key)
	r.looked(ok)
	if ok {
		return id, nil
	}
	id, err := r.reviews.Do(ctx, key, cache.Read[identity.Identity]{From: func(ctx context.Context) (identity.Identity, error) {
		// The review of another login may have ended since the look above.
		if id, ok := r.remembered(key); ok {
			return id, nil
		}
		id, err := r.next.Review(ctx, t, audiences)
		if err == nil {
			r.entries.Add(key, rememberedReview{identity: id, until: r.until(t)})
		}
		return id, err
	}})
	if errors.Is(err, cache.ErrGaveUp) {
		return identity.Identity{}, &refusal.Refusal{
			Kind: refusal.CouldNotAsk, Class: string(kube.Timeout), Reason: "waiting for a review that another login began", Err: ctx.Err(),
		}
	}
	return id, err
}

func (r *rememberingReviewer) remembered(key [sha256.Size]byte) (identity.Identity, bool) {
	entry, ok := r.entries.Get(key)
	if !ok || !r.now().Before(entry.(rememberedReview).until) {
		return identity.Identity{}, false
	}
	return entry.(rememberedReview).identity, true
}

// until is when a confirmation that is given now ends. The token was confirmed, so
// its expiry is what it says.
func (r *rememberingReviewer) until(t *token.Unverified) time.Time {
	until := r.now().Add(r.ttl)
	for _, confirmed := range []*token.Unverified{t, r.second} {
		if confirmed == nil {
			continue
		}
		if expiry, ok := confirmed.UnverifiedExpiry(); ok && expiry.Before(until) {
			until = expiry
		}
	}
	return until
}

// keyOf hashes what a review depends on, each part with its length before it.
func (r *rememberingReviewer) keyOf(t *token.Unverified, audiences []string) (key [sha256.Size]byte) {
	hash := hmac.New(sha256.New, r.key[:])
	second := "" // no token is empty
	if r.second != nil {
		second = r.second.Raw()
	}
	for _, part := range append([]string{t.Raw(), second}, audiences...) {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write([]byte(part))
	}
	hash.Sum(key[:0])
	return key
}
