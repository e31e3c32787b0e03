package kube

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"
)

// Observation is what an answer of the API server shows beside its content.
type Observation struct {
	// Answered tells whether there was an answer, be it a refusal. Without one
	// all else is zero.
	Answered bool
	// Took is from the request to the header of the answer.
	Took time.Duration
	// Date is the API server's clock, in whole seconds; zero if it does not tell.
	Date time.Time
	// At is this machine's clock when Date came.
	At time.Time
}

type observationKey struct{}

// observe notes the last answer within ctx.
func observe(ctx context.Context, asked time.Time, response *http.Response) {
	seen, ok := ctx.Value(observationKey{}).(*Observation)
	if !ok {
		return
	}
	now := time.Now()
	*seen = Observation{Answered: true, Took: now.Sub(asked), At: now}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		seen.Date = date
	}
}

// Version asks what the API server is, such as v1.36.3. A credential that is
// rejected does not matter: it is then asked without one. The errors are of type
// *Error.
func (c *Client) Version(ctx context.Context) (gitVersion string, seen Observation, err error) {
	ctx = context.WithValue(ctx, observationKey{}, &seen)
	gitVersion, err = c.version(ctx)
	var failed *Error
	if errors.As(err, &failed) && failed.Failure == Unauthorized {
		gitVersion, err = c.version(withoutCredential(ctx))
	}
	return gitVersion, seen, err
}

func (c *Client) version(ctx context.Context) (string, error) {
	var info version.Info
	err := c.getJSON(ctx, "/version", &info)
	if err == nil && info.GitVersion == "" {
		err = &Error{Op: "get /version", Failure: Malformed, Err: errOtherObject}
	}
	return c.Secrets().Text(info.GitVersion), err
}

// WhoAmI asks whom the API server takes the client's credential for. Failure
// NotFound means that it is older than Kubernetes 1.28 and cannot say, and that it
// accepted the credential. The errors are of type *Error.
func (c *Client) WhoAmI(ctx context.Context) (*authv1.UserInfo, error) {
	const op = "create SelfSubjectReview"
	var review *authv1.SelfSubjectReview
	err := c.do(ctx, op, "", func(ctx context.Context) (err error) {
		review = &authv1.SelfSubjectReview{}
		err = create(c.auth, "selfsubjectreviews").Body(&authv1.SelfSubjectReview{}).Do(ctx).Into(review)
		switch {
		case err != nil:
			return err
		case review.Status.UserInfo.Username == "":
			return errOtherObject
		}
		known := sentIn(ctx)
		return known.none(known.secrets, review.Status.UserInfo.Username)
	})
	if err != nil {
		return nil, missingAPI(op, err)
	}
	return &review.Status.UserInfo, nil
}

// missingAPI sorts out the 404 for an API that does not exist, which comes without
// a Status object.
func missingAPI(op string, err error) error {
	if apierrors.IsNotFound(err) {
		return &Error{Op: op, Failure: NotFound, Err: errors.Unwrap(err)}
	}
	return err
}

// Access is something that a credential may be allowed to do, on all objects, or on the one
// that is named.
type Access struct {
	Verb, Group, Resource string

	Subresource, Namespace, Name string
}

// Allowed asks whether the client's credential may do something.
// The errors are of type *Error.
func (c *Client) Allowed(ctx context.Context, access Access) (bool, error) {
	attributes := authzv1.ResourceAttributes{Verb: access.Verb, Group: access.Group, Resource: access.Resource,
		Subresource: access.Subresource, Namespace: access.Namespace, Name: access.Name}
	var review *authzv1.SelfSubjectAccessReview
	err := c.do(ctx, "create SelfSubjectAccessReview", "", func(ctx context.Context) (err error) {
		review = &authzv1.SelfSubjectAccessReview{}
		err = create(c.authz, "selfsubjectaccessreviews").Body(&authzv1.SelfSubjectAccessReview{
			Spec: authzv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &attributes},
		}).Do(ctx).Into(review)
		if err != nil {
			return err
		}
		if asked := review.Spec.ResourceAttributes; asked == nil ||
			asked.Verb != access.Verb || asked.Group != access.Group || asked.Resource != access.Resource ||
			asked.Subresource != access.Subresource || asked.Namespace != access.Namespace || asked.Name != access.Name {
			return errOtherObject
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}

// Issuer asks for the issuer of the cluster's service account tokens. The errors are
// of type *Error.
func (c *Client) Issuer(ctx context.Context) (string, error) {
	const path = "/.well-known/openid-configuration"
	var discovery struct {
		Issuer string `json:"issuer"`
	}
	err := c.getJSON(ctx, path, &discovery)
	if err == nil && discovery.Issuer == "" {
		err = &Error{Op: "get " + path, Failure: Malformed, Err: errOtherObject}
	}
	return c.Secrets().Text(discovery.Issuer), err
}

// getJSON reads and decodes a document.
func (c *Client) getJSON(ctx context.Context, path string, into any) error {
	return c.do(ctx, "get "+path, "", func(ctx context.Context) error {
		document, err := c.document(ctx, path, "application/json")
		if err != nil {
			return err
		}
		return json.Unmarshal(document, into)
	})
}
