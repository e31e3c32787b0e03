package kube

import (
	"context"
	"time"

	authv1 "k8s.io/api/authentication/v1"
)

type credentialKey struct{}

// WithCredential makes requests by a token that need not be the client's own. With a client
// that is known by a certificate it counts for nothing.
func WithCredential(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, credentialKey{}, token)
}

type askedByKey struct{}

// AskedBy makes requests by a token of a client's own, and by nothing that is the reviewer's:
// neither its token nor its certificate goes with them.
func AskedBy(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, askedByKey{}, token)
}

// askedBy is the token of a client by which a request is made, if it is made by one.
func askedBy(ctx context.Context) (token string, ok bool) {
	token, ok = ctx.Value(askedByKey{}).(string)
	return token, ok
}

// RequestToken asks for a token of a service account that is good for about as long as life, for
// the audience of the API server. expires is by the API server's clock. The errors are of type
// *Error.
func (c *Client) RequestToken(ctx context.Context, namespace, name string, life time.Duration) (token string, expires time.Time, err error) {
	seconds := int64(life / time.Second)
	var request *authv1.TokenRequest
	err = c.do(ctx, OpTokenRequest, "", func(ctx context.Context) error {
		request = &authv1.TokenRequest{}
		err := create(c.core, "serviceaccounts").Namespace(namespace).Name(name).SubResource("token").
			Body(&authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}).Do(ctx).Into(request)
		switch {
		case err != nil:
			return err
		case request.Status.Token == "" || request.Status.ExpirationTimestamp.IsZero():
			return errOtherObject
		}
		known := sentIn(ctx) // a front that gives back what it was sent is no API server
		return known.none(known.secrets.Signatures(), request.Status.Token)
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return request.Status.Token, request.Status.ExpirationTimestamp.Time, nil
}
