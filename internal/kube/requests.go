package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// Namespace reads a namespace. loginToken is the credential where the client has
// no reviewer's. The errors are of type *Error.
func (c *Client) Namespace(ctx context.Context, loginToken, name string) (*corev1.Namespace, error) {
	var namespace *corev1.Namespace
	err := c.do(ctx, OpNamespace, loginToken, func(ctx context.Context) (err error) {
		namespace = &corev1.Namespace{}
		err = get(c.core).Resource("namespaces").Name(name).Do(ctx).Into(namespace)
		switch {
		case err != nil:
			return err
		case namespace.Name != name:
			return errOtherObject
		}
		return sentIn(ctx).object(namespace.ObjectMeta)
	})
	return namespace, err
}

// ServiceAccount reads a service account. loginToken is the credential where the
// client has no reviewer's. The errors are of type *Error.
func (c *Client) ServiceAccount(ctx context.Context, loginToken, namespace, name string) (*corev1.ServiceAccount, error) {
	var account *corev1.ServiceAccount
	err := c.do(ctx, OpServiceAccount, loginToken, func(ctx context.Context) (err error) {
		account = &corev1.ServiceAccount{}
		err = get(c.core).Namespace(namespace).Resource("serviceaccounts").Name(name).Do(ctx).Into(account)
		switch {
		case err != nil:
			return err
		case account.Namespace != namespace || account.Name != name:
			return errOtherObject
		}
		return sentIn(ctx).object(account.ObjectMeta)
	})
	return account, err
}

// SigningKeys reads the JSON Web Key Set with which the cluster's service account
// tokens can be verified. loginToken is the credential where the client has no
// reviewer's. The errors are of type *Error.
func (c *Client) SigningKeys(ctx context.Context, loginToken string) ([]byte, error) {
	var document []byte
	err := c.do(ctx, OpSigningKeys, loginToken, func(ctx context.Context) (err error) {
		document, err = c.document(ctx, "/openid/v1/jwks", "application/jwk-set+json")
		return err
	})
	return document, err
}

// create and get begin requests as the typed clients of client-go do, with two
// differences: client-go does not repeat them by itself, which it would do ten times, and
// there are no options to encode into the query.
func create(group rest.Interface, resource string) *rest.Request {
	return group.Post().MaxRetries(0).UseProtobufAsDefault().Resource(resource)
}

func get(group rest.Interface) *rest.Request {
	return group.Get().MaxRetries(0).UseProtobufAsDefault()
}

// document reads what is no Kubernetes object.
func (c *Client) document(ctx context.Context, path, mediaType string) ([]byte, error) {
	result := c.core.Get().MaxRetries(0).AbsPath(path).SetHeader("Accept", mediaType).Do(ctx)
	// Raw's own error leaves out what the API server says in a Status object.
	if err := result.Error(); err != nil {
		return nil, err
	}
	body, err := result.Raw()
	if err != nil {
		return nil, err
	}
	known := sentIn(ctx)
	return body, known.none(known.secrets.Signatures(), string(body))
}
