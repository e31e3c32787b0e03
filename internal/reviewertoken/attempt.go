package reviewertoken

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
)

// result is what an attempt came to, before it is stored.
type result struct {
	made Made
	err  error
	// void and sound are of the token that is stored, where the one that somebody wrote could
	// not be exchanged; neither where nobody knows.
	void, sound bool
}

// request asks. Nobody is kept from storing meanwhile.
func (k *Keeper) request(ctx context.Context, s logical.Storage, begun attempt) (r result) {
	credential := begun.entry.Token
	if begun.step == Exchange {
		credential = begun.want.First
	}
	r.made, r.err = k.Ask(ctx, s, credential, begun.want)
	// What stands before an API server may shorten or mask what it answers: a good token is not
	// given up for one that nobody knows. The first may also be of somebody else, who may do
	// what the account may not, and is given up for one that can take its place.
	if r.err == nil {
		if err := k.Try(ctx, s, r.made.Token); isVoid(err) || begun.step == Exchange && isRefused(err) {
			r.err = fmt.Errorf("the token that was made for %s cannot take its place: %w", begun.want.Account, err)
		}
	}
	if begun.step != Exchange {
		return r
	}
	if isRefused(r.err) && begun.entry.Token != "" {
		err := k.Try(ctx, s, begun.entry.Token)
		r.sound, r.void = err == nil, isRefused(err)
	}
	return r
}

// Void is an error of Keeper.Try which says that a token is none that the API server knows.
type Void struct{ Err error }

func (v *Void) Error() string { return v.Err.Error() }
func (v *Void) Unwrap() error { return v.Err }

func isVoid(err error) bool {
	var v *Void
	return errors.As(err, &v)
}

func isRefused(err error) bool {
	var r *refusal.Refusal
	return errors.As(err, &r) && r.Kind == refusal.Denied
}

// end stores what an attempt came to, unless somebody stored another token meanwhile, or wrote
// that none, or another, is wanted.
func (k *Keeper) end(ctx context.Context, s logical.Storage, begun attempt, r result) (outcome Outcome, err error) {
	outcome = Outcome{Step: begun.step, Err: r.err}
	next := begun.entry.after(begun, r)
	outcome.Entry = next
	err = k.Change(ctx, s, func(s logical.Storage) error {
		stored, same, err := k.isAsBegun(ctx, s, begun)
		if err != nil || !same {
			if err == nil {
				outcome = Outcome{Step: Nothing, Entry: stored}
			}
			return err
		}
		outcome.Unused = begun.step == Exchange && r.err != nil && r.sound
		if err := put(ctx, s, next); err != nil {
			return err
		}
		if begun.step == Exchange && (r.err == nil || outcome.Unused) {
			return k.Forget(ctx, s)
		}
		return nil
	})
	if err != nil && r.err == nil && !isReadOnly(err) {
		// It is good, and was asked for; it is stored as soon as storage takes it.
		k.kept = &keptToken{entry: next, of: begun.entry.Token, begun: begun}
	}
	return outcome, err
}

// isAsBegun tells whether what an attempt began with is so still. Another token that somebody
// wrote meanwhile is no obstacle to a renewal, and is exchanged after it.
func (k *Keeper) isAsBegun(ctx context.Context, s logical.Storage, begun attempt) (stored *Entry, same bool, err error) {
	want, err := k.Wanted(ctx, s)
	if err != nil {
		return nil, false, err
	}
	if stored, err = Read(ctx, s); err != nil {
		return nil, false, err
	}
	same = want.Account == begun.want.Account && want.Host == begun.want.Host && stored.isFor(want) && stored.Token == begun.entry.Token &&
		(begun.step == Renew || want.First == begun.want.First)
	return stored, same, nil
}

// after is what is stored after an attempt.
func (e *Entry) after(begun attempt, r result) *Entry {
	next := *e
	if r.err != nil {
		next.Failure = r.err.Error()
		switch {
		case r.void:
			// The one that somebody wrote may be good, though it cannot be exchanged.
			next.Token, next.Began, next.Life = "", time.Time{}, 0
		case r.sound:
			next.Failure, next.Attempt = "", time.Time{} // nothing is wrong with that one
		}
		return &next
	}
	next.Token, next.Began, next.Life = r.made.Token, begun.at, r.made.Life
	next.Attempt, next.Failure = time.Time{}, ""
	if begun.step == Exchange {
		next.First = digest(begun.want.First)
	}
	return &next
}

// storeKept stores a token that was made before and could not be stored; nil if it is of no
// use any more.
func (k *Keeper) storeKept(ctx context.Context, s logical.Storage, now attempt) (*Entry, error) {
	kept := k.kept
	want, began := now.want, kept.begun
	if now.entry != nil && now.entry.Token == kept.entry.Token { // it was stored after all
		k.kept = nil
		return nil, nil
	}
	isOf := want.Account == began.want.Account && want.Host == began.want.Host && now.entry.isFor(want) && now.entry.Token == kept.of
	if !isOf || !now.at.Before(kept.entry.Ends()) || began.step == Exchange && want.First != began.want.First {
		k.kept = nil
		return nil, nil
	}
	if err := put(ctx, s, kept.entry); err != nil {
		return nil, err
	}
	k.kept = nil
	if began.step == Exchange {
		return kept.entry, k.Forget(ctx, s)
	}
	return kept.entry, nil
}
