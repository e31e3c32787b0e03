package kube

import (
	"context"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"
)

// ReviewToken asks the API server about a token. audiences may be empty, which
// means the API server's own. The errors are of type *Error.
func (c *Client) ReviewToken(ctx context.Context, token string, audiences []string) (*authv1.TokenReviewStatus, error) {
	var status *authv1.TokenReviewStatus
	inJSON := false
	err := c.do(ctx, OpReview, token, func(ctx context.Context) error {
		protobuf := !inJSON && c.form.protobuf(c.now())
		inJSON = true // a second attempt: the form may be why the first came to nothing
		review := &authv1.TokenReview{TypeMeta: reviewType, Spec: authv1.TokenReviewSpec{Token: token, Audiences: audiences}}
		answer, form, err := c.review(ctx, review, protobuf)
		switch {
		case err != nil:
		case answer.Spec.Token == "":
			err = errOtherObject
		case answer.Spec.Token != token:
			err = errTokenChanged
		default:
			status = &answer.Status
			err = sentIn(ctx).review(status)
		}
		switch {
		case err == nil:
			c.form.answered(c.now(), protobuf, isProtobuf(form))
		case protobuf && c.form.failed(c.now(), classify(ended(ctx, err)), isProtobuf(form)):
			attemptIn(ctx).otherwise = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return status, nil
}

func isProtobuf(mediaType string) bool {
	return strings.HasPrefix(mediaType, runtime.ContentTypeProtobuf)
}

// review sends one, in one of the two forms, and reads the answer, whose form may be another.
func (c *Client) review(ctx context.Context, review *authv1.TokenReview, protobuf bool) (answer *authv1.TokenReview, form string, err error) {
	request := create(c.auth, "tokenreviews")
	if protobuf {
		request = create(c.authProtobuf, "tokenreviews").Body(review)
	} else {
		body, err := json.Marshal(review)
		if err != nil {
			return nil, "", err
		}
		request.SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body)
	}
	answer = &authv1.TokenReview{}
	result := request.Do(ctx)
	result.ContentType(&form)
	return answer, form, reviewIn(result, answer)
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
