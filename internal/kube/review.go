package kube

import (
	"context"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"
)

// ReviewToken asks the API server about a token. audiences may be empty, which
// means the API server's own. The errors are of type *Error.
func (c *Client) ReviewToken(ctx context.Context, token string, audiences []string) (*authv1.TokenReviewStatus, error) {
	var review *authv1.TokenReview
	err := c.do(ctx, OpReview, token, func(ctx context.Context) error {
		body, err := json.Marshal(&authv1.TokenReview{TypeMeta: reviewType, Spec: authv1.TokenReviewSpec{Token: token, Audiences: audiences}})
		if err != nil {
			return err
		}
		review = &authv1.TokenReview{}
		err = reviewIn(create(c.auth, "tokenreviews").SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body).Do(ctx), review)
		switch {
		case err != nil:
			return err
		case review.Spec.Token == "":
			return errOtherObject
		case review.Spec.Token != token:
			return errTokenChanged
		}
		return sentIn(ctx).review(&review.Status)
	})
	if err != nil {
		return nil, err
	}
	return &review.Status, nil
}

var reviewType = metav1.TypeMeta{Kind: "TokenReview", APIVersion: authv1.SchemeGroupVersion.String()}

// answeredReview is what counts of a TokenReview.
type answeredReview struct {
	metav1.TypeMeta `json:",inline"`

	Spec struct {
		Token string `json:"token"`
	} `json:"spec"`
	Status authv1.TokenReviewStatus `json:"status"`
}

// reviewIn reads an answer. client-go reads one twice, since it may be anything that the API
// has; of a good one what counts is read here once, and whatever is not one is left to
// client-go, which says why. Both go by the same rules of Kubernetes: names of fields in
// their case, the last one counts.
func reviewIn(result rest.Result, review *authv1.TokenReview) error {
	var answer answeredReview
	raw, err := result.Raw()
	if err == nil && json.Unmarshal(raw, &answer) == nil && answer.TypeMeta == reviewType {
		review.Spec.Token, review.Status = answer.Spec.Token, answer.Status
		return nil
	}
	return result.Into(review)
}
