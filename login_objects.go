package main

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// objects are the objects of the cluster that a login may want to look at beyond
// the review, each asked for at most once. Their names are those of the verified
// identity.
type objects struct {
	connection *connection
	// loginToken is the credential where there is no reviewer; empty on renewal.
	loginToken string
	identity   identity.Identity

	account *corev1.ServiceAccount
	ns      *corev1.Namespace
}

// serviceAccount returns the service account of the identity. One of the same name
// that was created since is somebody else.
func (o *objects) serviceAccount(ctx context.Context) (*corev1.ServiceAccount, error) {
	if o.account != nil {
		return o.account, nil
	}
	account, err := o.connection.client.ServiceAccount(ctx, o.loginToken, o.identity.Namespace(), o.identity.Name())
	if err != nil {
		return nil, o.refusal(err)
	}
	if string(account.UID) != o.identity.UID() {
		return nil, refusal.Deny("the service account was deleted and created anew")
	}
	o.account = account
	return account, nil
}

func (o *objects) namespace(ctx context.Context) (*corev1.Namespace, error) {
	if o.ns != nil {
		return o.ns, nil
	}
	namespace, err := o.connection.client.Namespace(ctx, o.loginToken, o.identity.Namespace())
	if err != nil {
		return nil, o.refusal(err)
	}
	o.ns = namespace
	return namespace, nil
}

// refusal sorts a failed look-up. That the reviewer lacks a permission is a denial
// here, and a warning for the operator: it must never pass for "does not match". That
// the object is gone since the review is the doing of whoever deleted it.
func (o *objects) refusal(err error) error {
	nobodysConcern := o.connection.selfReview()
	var failed *kube.Error
	if errors.As(err, &failed) && failed.Failure == kube.NotFound {
		nobodysConcern = true
	}
	return refusalFromAPI(err, nobodysConcern, kube.Unauthorized, kube.Forbidden, kube.NotFound)
}

// fetch is how selectors and binding rules get at what the review does not tell.
func (l *login) fetch(ctx context.Context, source binding.Source) error {
	switch source {
	case binding.ServiceAccount:
		account, err := l.objects.serviceAccount(ctx)
		if err != nil {
			return err
		}
		l.attributes.SetServiceAccount(account.Labels, account.Annotations)
	case binding.Namespace:
		namespace, err := l.objects.namespace(ctx)
		if err != nil {
			return err
		}
		l.attributes.SetNamespace(namespace.Labels)
	}
	return nil
}
