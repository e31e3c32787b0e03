package reviewertoken

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/turn"
)

// Keeper keeps the token of one mount. Of several who want another one at a time, one asks.
type Keeper struct {
	// Ctx ends with the mount. An attempt goes on when whoever asked for it goes away.
	Ctx context.Context
	Now func() time.Time
	// MayWrite tells whether this node may write storage.
	MayWrite func() bool
	// Change lets run change the entries that are under Path and the configuration, while
	// nobody else does.
	Change func(ctx context.Context, s logical.Storage, run func(s logical.Storage) error) error
	// Wanted reads what the configuration says.
	Wanted func(ctx context.Context, s logical.Storage) (Want, error)
	// Forget takes the token that somebody wrote out of the configuration.
	Forget func(ctx context.Context, s logical.Storage) error
	// Ask asks for a token of the account, by a credential. Try lets a credential review
	// itself. Their errors are refusals: denied, or could not ask; of those that deny, a Void
	// says that the credential is none.
	Ask func(ctx context.Context, s logical.Storage, credential string, w Want) (Made, error)
	Try func(ctx context.Context, s logical.Storage, credential string) error

	attempts turn.Keys
	// kept is a token that was made and could not be stored yet; guarded by the turn.
	kept *keptToken
}

// Made is a token that was just made.
type Made struct {
	Token string
	Life  time.Duration
}

// keptToken is what is to be stored in the place of an entry whose token is of.
type keptToken struct {
	entry *Entry
	of    string
	begun attempt
}

// Outcome is what became of an attempt.
type Outcome struct {
	Step Step
	// Entry is what is stored now; nil if nothing is.
	Entry *Entry
	// Err is why there is no other token, though there should be one.
	Err error
	// Unused says that the token that somebody wrote was rejected, and is no longer kept;
	// the one that is stored is good.
	Unused bool
}

// attemptTimeout bounds an attempt: three requests, each of two attempts of a minute at most.
const attemptTimeout = 7 * time.Minute

// attempt is what one begins with.
type attempt struct {
	step  Step
	want  Want
	entry *Entry
	at    time.Time
}

// errNobody is about a mount that has no token to ask with.
var errNobody = errors.New("there is no token to ask with; write a first one as token_reviewer_jwt")

// Run does what is to be done now. The error is that of storage; on a node that may not write,
// nothing is done, and whoever is in a hurry gets logical.ErrReadOnly.
func (k *Keeper) Run(ctx context.Context, s logical.Storage, u Urgency) (Outcome, error) {
	if !k.MayWrite() {
		return readOnly(u)
	}
	release, err := k.attempts.Take(ctx, Path)
	if err != nil {
		return Outcome{}, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(k.Ctx, attemptTimeout)
	defer cancel()
	begun, err := k.begin(ctx, s, u)
	if isReadOnly(err) {
		return readOnly(u)
	}
	if err != nil {
		return Outcome{}, err
	}
	switch begun.step {
	case Nothing, Forget:
		return Outcome{Step: begun.step, Entry: begun.entry}, nil
	case Stuck:
		return Outcome{Step: Stuck, Entry: begun.entry, Err: errNobody}, nil
	case Exchange, Renew:
	}
	outcome, err := k.end(ctx, s, begun, k.request(ctx, s, begun))
	if isReadOnly(err) {
		return readOnly(u)
	}
	return outcome, err
}

func readOnly(u Urgency) (Outcome, error) {
	if u != WhenDue {
		return Outcome{}, logical.ErrReadOnly // the host has the request made where it can be
	}
	return Outcome{}, nil
}

// isReadOnly knows the error also where it came as a text, through the plugin protocol.
func isReadOnly(err error) bool {
	return err != nil && (errors.Is(err, logical.ErrReadOnly) || strings.Contains(err.Error(), logical.ErrReadOnly.Error()))
}

// begin decides, and notes that an attempt is made before it is.
func (k *Keeper) begin(ctx context.Context, s logical.Storage, u Urgency) (begun attempt, err error) {
	begun.at = k.Now()
	err = k.Change(ctx, s, func(s logical.Storage) error {
		if begun.want, err = k.Wanted(ctx, s); err != nil || begun.want.Account == "" {
			return err
		}
		if begun.entry, err = Read(ctx, s); err != nil {
			return err
		}
		if k.kept != nil {
			stored, err := k.storeKept(ctx, s, begun)
			if err != nil {
				return err
			}
			if stored != nil {
				begun.entry = stored
				return nil
			}
		}
		return k.decide(ctx, s, &begun, u)
	})
	return begun, err
}

// decide says what is begun, and stores that it is.
func (k *Keeper) decide(ctx context.Context, s logical.Storage, begun *attempt, u Urgency) error {
	begun.step = Decide(begun.entry, begun.want, begun.at, u)
	if begun.step == Forget {
		if err := k.Forget(ctx, s); err != nil {
			return err
		}
		// That says nothing about the one that is stored, which may be due all the same.
		begun.want.First = ""
		if Decide(begun.entry, begun.want, begun.at, u) == Renew {
			begun.step = Renew
		}
	}
	switch begun.step {
	case Exchange, Renew:
		next := begun.entry.next(begun.want)
		next.Attempt = begun.at
		begun.entry = next
		return put(ctx, s, next)
	case Nothing, Forget, Stuck:
	}
	return nil
}

// next is a copy to change; what is stored for another account or API server is left behind.
func (e *Entry) next(w Want) *Entry {
	if !e.isFor(w) {
		return &Entry{Account: w.Account, Host: w.Host}
	}
	next := *e
	return &next
}
