package cluster

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// Reviewer asks somebody who knows whose a token is. Its errors are
// refusals: denied if the answer was no, could not ask if there was no answer.
type Reviewer interface {
	Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error)
}

// countedReviewer counts what the next reviewer says.
type countedReviewer struct {
	next  Reviewer
	count func(err error)
}

// Review is that of the next reviewer.
func (c *countedReviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	id, err := c.next.Review(ctx, t, audiences)
	c.count(err)
	return id, err
}

// Refusal sorts a failed request to the Kubernetes API. Where the credential was not let
// in there was an answer, and so there was with the failures in answers: they deny, as
// they do in Vault's own method. All others mean that it could not be asked.
//
// A denial is the operator's concern unless the credential was the client's own.
func Refusal(err error, selfReview bool, answers ...kube.Failure) error {
	var failed *kube.Error
	if !errors.As(err, &failed) {
		return err
	}
	r := &refusal.Refusal{
		Kind:     refusal.CouldNotAsk,
		Operator: failed.Failure != kube.Canceled,
		Remedy:   failed.Remedy(),
		Class:    string(failed.Failure),
		Unseen:   failed.Failure.Refuses(),
		Err:      err,
	}
	if failed.Failure.Refuses() || slices.Contains(answers, failed.Failure) {
		r.Kind = refusal.Denied
		// What stands before the API server wants a credential that no client has.
		r.Operator = !selfReview || failed.Failure == kube.Gateway
	}
	return r
}

// AskedByAnother adds to a refusal to make a token of the account that whoever asked is another
// one, which may be what was meant. The API server has let the credential in, so that its names
// are no more than the operator's own.
func AskedByAnother(err error, credential, account string) error {
	var failed *kube.Error
	var r *refusal.Refusal
	if !errors.As(err, &failed) || !errors.As(err, &r) || failed.Failure != kube.Forbidden && failed.Failure != kube.NotFound || failed.CredentialLost() {
		return err
	}
	t, parseErr := token.Parse(credential)
	if parseErr != nil {
		return err
	}
	tied := t.UnverifiedTied()
	own := tied.Namespace + "/" + tied.Account
	if own == account || len(validation.IsDNS1123Label(tied.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(tied.Account)) > 0 {
		return err
	}
	r.Remedy = "token_reviewer_jwt is of " + own + ": if that one is meant, set token_reviewer_service_account=" + own + "; if not, " + r.Remedy
	return err
}
