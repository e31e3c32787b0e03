package main

import (
	"context"
	"errors"
	"slices"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
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
		return identity.Identity{}, denyFor(err)
	}
	return id, nil
}

func (r *apiReviewer) refusal(err error) error {
	return refusalFromAPI(err, r.selfReview(), kube.Unauthorized, kube.Forbidden)
}

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
	r := &refusal{
		kind:     couldNotAsk,
		operator: failed.Failure != kube.Canceled,
		remedy:   failed.Remedy(),
		class:    string(failed.Failure),
		err:      err,
	}
	if slices.Contains(answers, failed.Failure) {
		r.kind = denied
		r.operator = !selfReview
	}
	return r
}
