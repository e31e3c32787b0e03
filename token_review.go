package main

import (
	"context"
	"errors"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// newReviewer makes the reviewer of a cluster.
func newReviewer(c *cluster.Cluster) cluster.Reviewer {
	return &apiReviewer{client: c.Client, selfReview: c.SelfReview, dropped: c.Config.ReviewerDropped}
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
	err = cluster.Refusal(err, selfReview, kube.Unauthorized, kube.Forbidden)
	var failed *kube.Error
	var refused *refusal.Refusal
	if !selfReview || !errors.As(err, &failed) || !errors.As(err, &refused) {
		return err
	}
	if failed.Failure == kube.Unauthorized {
		refused.Remedy = selfReviewRemedy
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

// selfReviewRemedy is about a token that is its own credential, and that the API server
// does not take for one.
const selfReviewRemedy = "there is no reviewer, so the token itself has to be a credential of the API server: it needs the API server's own audience " +
	"beside any other (kubectl create token takes several, a projected volume one); better set token_reviewer_jwt"

const noReviewerRemedy = "set token_reviewer_jwt; where each login is to review itself, its service account needs the " +
	"ClusterRole system:auth-delegator, and its token the API server's own audience too"
