package main

import (
	"context"
	"errors"
	"slices"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// tokenReviewer asks somebody who knows whose a token is. Its errors are
// refusals: denied if the answer was no, couldNotAsk if there was no answer.
type tokenReviewer interface {
	Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error)
}

// apiReviewer is the reviewer that every mount uses: the TokenReview API of its
// cluster.
type apiReviewer struct {
	client *kube.Client
	// selfReview says that there is no reviewer credential, so a rejected
	// credential is the client's and not the operator's.
	selfReview func() bool
	// dropped says that there was a reviewer, and a write took it away without
	// saying so.
	dropped bool
}

// Review asks for one review. audiences are the ones that the token must be valid
// for, one of them at least; with none, the API server's own.
func (r *apiReviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	status, err := r.client.ReviewToken(ctx, t.Raw(), audiences)
	if err != nil {
		return identity.Identity{}, r.refusal(err)
	}
	id, err := identity.FromReview(status, audiences)
	if err != nil {
		// It may quote the user that the API server named.
		return identity.Identity{}, refusal.DenyFor(r.client.Secrets(t.Raw()).Error(err))
	}
	return id, nil
}

func (r *apiReviewer) refusal(err error) error {
	selfReview := r.selfReview()
	err = refusalFromAPI(err, selfReview, kube.Unauthorized, kube.Forbidden)
	var failed *kube.Error
	var refused *refusal.Refusal
	if !selfReview || !errors.As(err, &failed) || !errors.As(err, &refused) {
		return err
	}
	// A token that may not ask about itself is not the client's doing: no client can
	// give it that permission. One that is rejected mostly is, unless there was a
	// reviewer that got lost.
	if failed.Failure == kube.Forbidden || failed.Failure == kube.Unauthorized && r.dropped {
		refused.Operator, refused.Class, refused.Remedy = true, refusal.ClassNoReviewer, noReviewerRemedy
		if r.dropped {
			refused.Reason = "a write of the configuration took the reviewer's token away"
		}
	}
	return err
}

const noReviewerRemedy = "set token_reviewer_jwt; where each login is to review itself, its service account needs the " +
	"ClusterRole system:auth-delegator, and its token the API server's own audience too"

// refusalFromAPI sorts a failed request to the Kubernetes API. The failures in
// answers are ones in which the API server did answer: they deny, as they do in
// Vault's own method. All others mean that it could not be asked.
//
// A denial is the operator's concern unless the credential was the client's own.
func refusalFromAPI(err error, selfReview bool, answers ...kube.Failure) error {
	var failed *kube.Error
	if !errors.As(err, &failed) {
		return err
	}
	r := &refusal.Refusal{
		Kind:     refusal.CouldNotAsk,
		Operator: failed.Failure != kube.Canceled,
		Remedy:   failed.Remedy(),
		Class:    string(failed.Failure),
		Unseen:   failed.Failure == kube.Unauthorized || failed.Failure == kube.Forbidden,
		Err:      err,
	}
	if slices.Contains(answers, failed.Failure) {
		r.Kind = refusal.Denied
		r.Operator = !selfReview
	}
	return r
}

// countedReviewer counts what the next reviewer says.
type countedReviewer struct {
	next  tokenReviewer
	count func(err error)
}

// Review is that of the next reviewer.
func (c *countedReviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	id, err := c.next.Review(ctx, t, audiences)
	c.count(err)
	return id, err
}
