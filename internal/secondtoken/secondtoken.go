// Package secondtoken says what the second token of a login has to be: the one that asks the
// API server whose the first is. The first has a narrow audience, so that it is good for a
// login and for nothing else; the second is one that the API server itself takes, of the same
// pod. Whoever has only one of the two gets nowhere. The package asks nobody.
package secondtoken

import (
	"errors"
	"fmt"
	"time"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/token"
)

// Field is what a request calls it.
const Field = "reviewer_jwt"

// Remedy is what a client can do whose second token is refused.
const Remedy = "send two tokens of the same pod: jwt for Vault's audience, and as " + Field + " the one for the API server that each pod has"

// The reasons for which a second token is refused.
var (
	// ErrTheSame says that there is but one token. It would prove nothing that it does not
	// prove alone, and whoever sent it means to send two.
	ErrTheSame = errors.New(Field + " is the token that jwt is; leave it out, or send one for the API server's own audience")
	// ErrOthers is of a token that belongs to somebody else. With it, who stole a first token
	// could have it reviewed by a token of his own.
	ErrOthers = errors.New(Field + " is not of the same service account and pod as jwt")
	// ErrNotTaken says that the API server does not take it for a credential, or not for one
	// that may ask about tokens.
	ErrNotTaken = errors.New("the API server was asked with " + Field)
)

// CheckUnverified refuses a second token by what both say of themselves. It saves asking; what
// it lets pass is judged by Judge. With no issuers, any will do.
func CheckUnverified(first, second *token.Unverified, now time.Time, issuers []string) error {
	if first.Raw() == second.Raw() {
		return ErrTheSame
	}
	if err := second.CheckTime(now); err != nil {
		return fmt.Errorf("%s: %w", Field, err)
	}
	if len(issuers) > 0 {
		if err := second.CheckIssuer(issuers...); err != nil {
			return fmt.Errorf("%s: %w", Field, err)
		}
	}
	if first.UnverifiedKind().IsOfAnother(second.UnverifiedKind()) {
		return fmt.Errorf("%w, by what they say of themselves", ErrOthers)
	}
	return nil
}

// Judge compares whose the two tokens are, as the API server said of each. A second token has
// to be bound to the pod that the first is bound to. If the first is bound to none, the same
// service account is enough: its holder could have such a token made anyway.
func Judge(first, second identity.Identity) error {
	switch {
	case first.Namespace() != second.Namespace() || first.Name() != second.Name() || first.UID() != second.UID():
		return fmt.Errorf("%w: it belongs to %s/%s", ErrOthers, second.Namespace(), second.Name())
	case first.UID() == "":
		return fmt.Errorf("%w: nobody said whose they are", ErrOthers)
	case first.Pod() == identity.Object{} || first.Pod() == second.Pod():
		return nil
	case second.Pod() == identity.Object{}:
		return fmt.Errorf("%w: it is bound to no pod, and jwt is", ErrOthers)
	}
	return fmt.Errorf("%w: it is bound to the pod %s", ErrOthers, second.Pod().Name)
}
