package cluster

import (
	"context"
	"errors"
	"fmt"

	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/live"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/secondtoken"
	"vault-plugin-auth-kubernetes/internal/token"
)

// TakesSecond tells whether the second token of a login has a say: where there is no reviewer,
// or the configuration prefers it. Where nobody is asked there is nothing for it to ask.
func (c *Cluster) TakesSecond() bool {
	return c.Config.Verification != config.VerifyKeys && (c.Config.PreferLoginReviewerJWT || c.SelfReview())
}

// By are the reviewers of a login whose second token asks in place of the mount's reviewer.
func (c *Cluster) By(second *token.Unverified) Reviewers {
	asking := Reviewer(&countedReviewer{next: &secondReviewer{client: c.Client, second: second}, count: c.reviewed})
	by := Reviewers{Reviewer: asking, Anew: asking, Asking: asking}
	if c.remembering != nil {
		by.Reviewer = c.remembering.by(second, asking)
		by.Asking = by.Reviewer
	}
	if c.Live != nil {
		by.Reviewer = &live.Reviewer{Session: c.Live, Ask: by.Asking, Counted: c.judged}
		by.Anew = by.Reviewer
	}
	return by
}

// secondReviewer asks by the second token of a login.
type secondReviewer struct {
	client *kube.Client
	second *token.Unverified
}

// Review asks whose a token is, and then whose the second one is: that the API server lets it
// ask says that it is good, and not that it is of the same pod. Both answers are the API
// server's, so neither token vouches for itself by its claims.
func (s *secondReviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	ctx = kube.AskedBy(ctx, s.second.Raw())
	id, err := s.identify(ctx, t, audiences)
	if err != nil {
		return identity.Identity{}, err
	}
	second, err := s.identify(ctx, s.second, nil)
	if err != nil {
		return identity.Identity{}, err
	}
	if err := secondtoken.Judge(id, second); err != nil {
		return identity.Identity{}, &refusal.Refusal{Kind: refusal.Denied, Class: refusal.ClassDenied, Err: err, Remedy: secondtoken.Remedy}
	}
	return id, nil
}

func (s *secondReviewer) identify(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	var status *authv1.TokenReviewStatus
	status, err := s.client.ReviewToken(ctx, t.Raw(), audiences)
	if err != nil {
		return identity.Identity{}, refusalOfSecond(err)
	}
	id, err := identity.FromReview(status, audiences)
	if err != nil { // it may quote the user that the API server named
		return identity.Identity{}, refusal.DenyFor(s.client.Secrets(t.Raw(), s.second.Raw()).Error(err))
	}
	return id, nil
}

const secondMayAsk = "let the service account of reviewer_jwt ask about tokens (deploy/components/self-review), and see that the token is for the API server's own audience: " +
	"kubectl create clusterrolebinding vault-reviewer-NAMESPACE-NAME --clusterrole=system:auth-delegator --serviceaccount=NAMESPACE:NAME"

// refusalOfSecond sorts a failed request that was made by a second token. That the API server
// does not let it in denies the login that brought it, and is no trouble of the mount's: any
// pod can send one that is no good.
func refusalOfSecond(err error) error {
	err = Refusal(err, true, kube.Unauthorized, kube.Forbidden)
	var failed *kube.Error
	var refused *refusal.Refusal
	if errors.As(err, &failed) && errors.As(err, &refused) && (failed.Failure == kube.Unauthorized || failed.Failure == kube.Forbidden) && !failed.CredentialLost() {
		refused.Class, refused.Remedy = string(kube.ClientRefused), secondMayAsk
		refused.Err = fmt.Errorf("%w: %w", secondtoken.ErrNotTaken, refused.Err)
	}
	return err
}
