package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"vault-plugin-auth-kubernetes/internal/reviewertoken"
)

// The fields of a reviewer whose token the mount replaces by itself.
const (
	reviewerAccountField = "token_reviewer_service_account"
	reviewerTTLField     = "token_reviewer_ttl"
)

// How long such a token is good: the least is Kubernetes' own.
const (
	defaultReviewerTTL = time.Hour
	minReviewerTTL     = 10 * time.Minute
	maxReviewerTTL     = 7 * 24 * time.Hour
)

// MakesReviewerTokens tells whether the mount replaces the reviewer's token by itself.
func (c *Entry) MakesReviewerTokens() bool { return c.ReviewerAccount != "" }

// WantedReviewer is what the mount's own token of the reviewer has to be.
func (c *Entry) WantedReviewer() reviewertoken.Want {
	want := reviewertoken.Want{Account: c.ReviewerAccount, Host: c.Host, Life: c.ReviewerTTL, First: strings.TrimSpace(c.TokenReviewerJWT)}
	if want.Life == 0 {
		want.Life = defaultReviewerTTL
	}
	return want
}

// SplitReviewerAccount are the namespace and the name of the reviewer's service account.
func (c *Entry) SplitReviewerAccount() (namespace, name string) {
	namespace, name, _ = strings.Cut(c.ReviewerAccount, "/")
	return namespace, name
}

// validateReviewerAccount refuses what no service account can be called, since it becomes part
// of the path of a request.
func (c *Entry) validateReviewerAccount() error {
	if c.ReviewerTTL != 0 && (c.ReviewerTTL < minReviewerTTL || c.ReviewerTTL > maxReviewerTTL) {
		return fmt.Errorf("%s: it must be between %s and %s, or 0 for the default", reviewerTTLField, minReviewerTTL, maxReviewerTTL)
	}
	if c.ReviewerAccount == "" {
		if c.ReviewerTTL != 0 {
			return fmt.Errorf("%s needs %s; take it back with 0", reviewerTTLField, reviewerAccountField)
		}
		return nil
	}
	namespace, name := c.SplitReviewerAccount()
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return errors.New(reviewerAccountField + ": not namespace/name of a service account, such as vault-auth/reviewer")
	}
	if c.HasClientCertificate() {
		return errors.New(reviewerAccountField + " and " + clientCertField + " are two reviewers; take one of them back with an empty value")
	}
	return nil
}

// CheckReviewerAccount refuses a configuration by which nobody could ask for the reviewer's
// token. stored is what there is of one.
func (c *Entry) CheckReviewerAccount(stored *reviewertoken.Entry) error {
	want := c.WantedReviewer()
	if want.Account == "" || want.First != "" || stored.Serves(want) {
		return nil
	}
	if stored != nil && stored.Token != "" {
		return errors.New(reviewerAccountField + ": the token that is stored is of " + stored.Account + " at " + stored.Host +
			", and goes to no other; name a first one as token_reviewer_jwt, such as kubectl create token makes it")
	}
	return errors.New(reviewerAccountField + " needs a first token by which others are asked for: name it as token_reviewer_jwt, such as kubectl create token makes it; it is replaced at once")
}
