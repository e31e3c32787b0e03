package live

import (
	"context"
	"errors"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// left is how much of its time a token has to have for it to be judged here. The API
// server allows clocks to differ by as much: so while its clock is near this machine's, it
// says yes to a token with so much left, and to one that is valid by the clock of here.
const left = time.Minute

// Doubts beside those of internal/token; they label metrics.
const (
	DoubtStarting token.Doubt = "starting"
	DoubtStale    token.Doubt = "stale"
	DoubtMissing  token.Doubt = "object unknown"
	DoubtDeleting token.Doubt = "object being deleted"
)

// Doubts are all with which the API server is asked.
var Doubts = append([]token.Doubt{DoubtStarting, DoubtStale, DoubtMissing, DoubtDeleting}, token.Doubts...)

// Results that are no doubts.
const (
	Confirmed      = "confirmed"
	WrongSignature = "wrong signature"
	Deleted        = "deleted"
)

// ErrDeleted says that what a token ends with was seen deleted.
var ErrDeleted = errors.New("the service account or the pod of the token was deleted")

// Asker asks the API server. Its errors are refusals.
type Asker interface {
	Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error)
}

// Reviewer says yes by what a session knows, and asks in all other cases. Its errors are
// refusals.
type Reviewer struct {
	Session *Session
	Ask     Asker
	// Counted is told how each token was judged: a result, or the doubt with which the
	// API server was asked.
	Counted func(result string)
}

// Review verifies a token for the audiences, one of which it must have.
func (r *Reviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	id, err := r.judge(t, audiences)
	var doubted *token.DoubtError
	switch {
	case errors.As(err, &doubted):
		r.Counted(string(doubted.Doubt))
		return r.Ask.Review(ctx, t, audiences)
	case errors.Is(err, ErrDeleted):
		r.Counted(Deleted)
		return identity.Identity{}, refusal.DenyFor(err)
	case err != nil:
		r.Counted(WrongSignature)
		return identity.Identity{}, refusal.DenyFor(err)
	}
	r.Counted(Confirmed)
	return id, nil
}

// judge asks nobody. Its error is a *token.DoubtError but for the two things that it may
// refuse: ErrDeleted and token.ErrSignature.
func (r *Reviewer) judge(t *token.Unverified, audiences []string) (identity.Identity, error) {
	now, staleness := r.Session.options.Clock(), r.Session.options.Staleness
	known := r.Session.want()
	if known == nil {
		return identity.Identity{}, doubt(DoubtStarting, "nothing is followed")
	}
	keys, issuer, ok := known.keysNow(staleness, now)
	switch {
	case !ok && keys.Empty():
		return identity.Identity{}, doubt(DoubtStarting, "the cluster's keys are not known yet")
	case !ok:
		return identity.Identity{}, doubt(DoubtStale, "the cluster's keys could not be read of late")
	}
	verified, err := keys.Vouch(t, token.Terms{Issuer: issuer, Audiences: audiences, Unbound: true, Now: now.Wall, Left: left})
	if err != nil {
		return identity.Identity{}, err
	}
	if err := known.objects(verified, staleness, now); err != nil {
		return identity.Identity{}, err
	}
	id, err := identity.FromVerified(verified, identity.ByLive)
	if err != nil {
		return identity.Identity{}, doubt(token.DoubtClaims, err.Error())
	}
	return id, nil
}

// objects tells whether all that a token ends with is there. That one was seen deleted is
// true for ever; that one exists, only as long as what is known is young enough to count.
func (r *run) objects(v token.Verified, staleness time.Duration, now clock.Moment) error {
	account := ofObject(r.accounts, v.ServiceAccount().UID, staleness, now)
	if v.Pod() == (token.Object{}) || errors.Is(account, ErrDeleted) {
		return account
	}
	if pod := ofObject(r.pods, v.Pod().UID, staleness, now); account == nil || errors.Is(pod, ErrDeleted) {
		return pod
	}
	return account
}

// Look tells what is known of one object that a token ends with: nil says that it is there,
// ErrDeleted that it is not, and a *token.DoubtError that somebody else has to say. It wants
// nothing: where nobody logs in, nothing is followed for its sake.
func (s *Session) Look(kind kube.Kind, uid string) error {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return doubt(DoubtStarting, "nothing is followed")
	}
	of := r.accounts
	if kind == kube.Pods {
		of = r.pods
	}
	return ofObject(of, uid, s.options.Staleness, s.options.Clock())
}

func ofObject(of *store, uid string, staleness time.Duration, now clock.Moment) error {
	is, asOf, ok := of.look(uid)
	switch {
	case is == gone:
		return ErrDeleted
	case !ok:
		return doubt(DoubtStarting, "what exists is not known yet, or the API server's clock is another")
	case !asOf.Within(staleness, now):
		return doubt(DoubtStale, "what exists could not be followed of late")
	case is == missing:
		return doubt(DoubtMissing, "the service account or the pod of the token is not known")
	case is == deleting:
		return doubt(DoubtDeleting, "the service account or the pod of the token is being deleted")
	}
	return nil
}

func doubt(d token.Doubt, reason string) error { return &token.DoubtError{Doubt: d, Reason: reason} }
