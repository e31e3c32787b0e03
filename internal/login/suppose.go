package login

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// Question is what an operator wants to know without a token: what a service account
// would get.
type Question struct {
	// Role is the name of one; empty where binding rules are to decide.
	Role    string
	Account identity.Supposed
	// Audiences are those that the token would be for; nil where nobody says.
	Audiences []string
	// Given are labels and annotations that are not to be looked up.
	Given    cluster.Given
	Source   Source
	Observer Observer
}

// Supposition is what would become of a login with a token of that service account. It is
// no Outcome: nobody vouched for anything in it, and no token can be made of it.
type Supposition struct {
	Finding
	// Assumed says what could not be found out and was assumed, each in a few words.
	Assumed []string
}

// supposition is a decision about somebody who is not known.
type supposition struct {
	decision
	question Question
	assumed  []string
}

// supposeSteps take the place of those in which a token is looked at.
var supposeSteps = []step[*supposition]{{refusal.StepSupposed, (*supposition).suppose}}

// Suppose goes through the steps of a login that look at no token. An error is a refusal,
// or one of the host's own; the supposition is nil if no step was reached.
func Suppose(ctx context.Context, m Mount, q Question) (*Supposition, error) {
	s := &supposition{decision: decision{mount: m, observer: q.Observer}, question: q}
	s.ByRules, s.Source = q.Role == "", q.Source
	if s.ByRules {
		if err := requireRules(ctx, m); err != nil {
			return nil, err
		}
	} else if err := s.name(ctx, q.Role); err != nil {
		return nil, err
	}
	err := s.decide(kube.Insist(ctx))
	return &Supposition{Finding: s.Finding, Assumed: s.assumed}, err
}

func (s *supposition) decide(ctx context.Context) error {
	begin, decide := beginSteps, boundSteps
	if s.ByRules {
		begin, decide = ruleBeginSteps, grantSteps
	}
	if err := run(ctx, &s.decision, s.observer, begin); err != nil {
		return err
	}
	if s.ByRules && len(s.Through) == 0 {
		decide = decide[1:]
	}
	ctx, cancel := s.Cluster.Deadline(ctx)
	defer cancel()
	if err := run(ctx, s, s.observer, supposeSteps); err != nil {
		return err
	}
	if err := run(ctx, &s.decision, s.observer, decide); err != nil {
		return err
	}
	if err := run(ctx, &s.decision, s.observer, aliasSteps); err != nil {
		return err
	}
	if roles := s.roles(); s.Who.UID() == "" && (len(roles) == 0 || roles[0].AliasNameSource != role.AliasNameSourceName) {
		s.Alias = "" // it is made of the uid
	}
	return nil
}

// SupposedSteps are those of a supposition, as Steps has those of a login.
func SupposedSteps(byRules, throughRole bool) []refusal.Step {
	var steps []refusal.Step
	for _, step := range Steps(byRules, throughRole) {
		switch step {
		case refusal.StepTokenForm, refusal.StepClaims, refusal.StepSignature, refusal.StepPosture:
		case refusal.StepReview:
			steps = append(steps, refusal.StepSupposed)
		default:
			steps = append(steps, step)
		}
	}
	return steps
}

// suppose finds out what a review would say of a token of the account.
func (s *supposition) suppose(ctx context.Context) error {
	uid, err := s.lookUp(ctx)
	if err != nil {
		return err
	}
	audiences, err := s.confirmed(ctx)
	if err != nil {
		return err
	}
	s.identify(s.question.Account.Known(uid, audiences), "")
	s.objects.Suppose(s.question.Given)
	s.Token = assumedToken
	if s.asksOfTokens() {
		s.assumed = append(s.assumed, "that the token is as max_token_lifetime, require_pod_bound_tokens and refuse_legacy_tokens ask")
	}
	return nil
}

// lookUp finds the uid of the service account, which has to exist for a token to be good.
func (s *supposition) lookUp(ctx context.Context) (uid string, err error) {
	who := s.question.Account
	account, err := s.Cluster.Client.ServiceAccount(ctx, "", who.Namespace(), who.Name())
	var failed *kube.Error
	switch {
	case err == nil:
		return string(account.UID), nil
	case errors.As(err, &failed) && failed.Failure == kube.NotFound:
		return "", refusal.Deny(fmt.Sprintf("there is no service account %q in the namespace %q, so none of its tokens is good", who.Name(), who.Namespace()))
	case errors.As(err, &failed) && failed.Failure.Refuses():
		s.assumed = append(s.assumed, "that the service account exists, since the reviewer may not get it ("+string(failed.Failure)+"); its uid is not known")
		return "", nil
	}
	return "", cluster.Refusal(err, false)
}

// confirmed are the audiences that a review would confirm: those that were asked for and
// that the token has.
func (s *supposition) confirmed(ctx context.Context) ([]string, error) {
	want, whichever, err := s.audiencesAskedFor()
	has := s.question.Audiences
	for _, r := range s.roles() { // each that a login goes through asks for one of its own
		if of := r.Audiences(); err == nil && has != nil && len(of) > 0 && len(both(has, of)) == 0 {
			return nil, refusal.Deny(fmt.Sprintf("the token's audiences are %q, the role asks for one of %q", has, of))
		}
	}
	switch {
	case err != nil:
		return nil, err
	case has == nil && len(want) > 0:
		s.assumed = append(s.assumed, fmt.Sprintf("that the token is for %q", want))
		return want, nil
	case whichever:
		if has == nil {
			s.assumed = append(s.assumed, "that the token has an audience; none was asked for and none was given")
		}
		return has, nil
	case len(want) == 0:
		if want, err = s.ownAudience(ctx); want == nil {
			return has, err
		}
		if has == nil {
			return want, nil
		}
	}
	confirmed := both(has, want)
	if len(confirmed) == 0 {
		return nil, refusal.Deny(fmt.Sprintf("the token's audiences are %q, and it has to be for one of %q", has, want))
	}
	return confirmed, nil
}

// both are the audiences of one list that another has too.
func both(has, want []string) []string {
	return slices.DeleteFunc(slices.Clone(has), func(a string) bool { return !slices.Contains(want, a) })
}

// ownAudience is the API server's own, which by default is its issuer.
func (s *supposition) ownAudience(ctx context.Context) ([]string, error) {
	issuer, err := s.Cluster.Client.Issuer(ctx)
	var failed *kube.Error
	switch {
	case err == nil:
		s.assumed = append(s.assumed, fmt.Sprintf("that the API server's own audience is its issuer, %q", issuer))
		return []string{issuer}, nil
	case errors.As(err, &failed) && (failed.Failure.Refuses() || failed.Failure == kube.NotFound):
		s.assumed = append(s.assumed, "that the token is for the API server's own audience, which it does not tell")
		return nil, nil
	}
	return nil, cluster.Refusal(err, false)
}
