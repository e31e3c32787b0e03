package cluster

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/live"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// Objects are the objects of the cluster that a login may want to look at beyond
// the review, each asked for at most once. Their names are those of the verified
// identity.
type Objects struct {
	cluster *Cluster
	// loginToken is the credential where there is no reviewer; empty on renewal.
	loginToken string
	identity   identity.Account
	// second is the token of the login that has the say in place of the reviewer; nil if none has.
	second *token.Unverified

	account *corev1.ServiceAccount
	ns      *corev1.Namespace
}

// Objects of an identity. loginToken is the token that was just confirmed, or "".
func (c *Cluster) Objects(id identity.Account, loginToken string) *Objects {
	return &Objects{cluster: c, identity: id, loginToken: loginToken}
}

// AskBy has look-ups made by the second token of a login, and not by the reviewer.
func (o *Objects) AskBy(second *token.Unverified) { o.second = second }

func (o *Objects) asking(ctx context.Context) context.Context {
	if o.second == nil {
		return ctx
	}
	return kube.AskedBy(ctx, o.second.Raw())
}

// Given is what an operator says that objects have, in place of a look: nil is not said.
type Given struct {
	Labels, Annotations, NamespaceLabels map[string]string
}

// Suppose has a look-up answer with what is given.
func (o *Objects) Suppose(given Given) {
	if given.Labels != nil || given.Annotations != nil {
		o.account = &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Labels: given.Labels, Annotations: given.Annotations}}
	}
	if given.NamespaceLabels != nil {
		o.ns = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Labels: given.NamespaceLabels}}
	}
}

// ServiceAccount returns the service account of the identity. One of the same name
// that was created since is somebody else.
func (o *Objects) ServiceAccount(ctx context.Context) (*corev1.ServiceAccount, error) {
	if o.account != nil {
		return o.account, nil
	}
	account, err := o.cluster.Client.ServiceAccount(o.asking(ctx), o.loginToken, o.identity.Namespace(), o.identity.Name())
	if err != nil {
		return nil, o.refusal(err)
	}
	if string(account.UID) != o.identity.UID() {
		return nil, refusal.Deny("the service account of that name has another uid than the token: it was deleted and created anew, or another cluster answers")
	}
	o.account = account
	return account, nil
}

// CheckAccount refuses if the service account of the identity is gone. What follows the
// cluster knows without a request, where something does.
func (o *Objects) CheckAccount(ctx context.Context) error {
	if known, err := o.followed(kube.ServiceAccounts, o.identity.UID()); known {
		return err
	}
	_, err := o.ServiceAccount(ctx)
	return err
}

// CheckPod refuses if the pod of the identity is gone, which it is once there is another of
// its name. One that is being deleted is there.
func (o *Objects) CheckPod(ctx context.Context) error {
	want := o.identity.Pod()
	if known, err := o.followed(kube.Pods, want.UID); known {
		return err
	}
	pod, err := o.cluster.Client.Pod(ctx, o.loginToken, o.identity.Namespace(), want.Name)
	if err != nil {
		return o.refusal(err)
	}
	if pod.UID != want.UID {
		return refusal.Deny("the pod of that name has another uid than that of the login: it was deleted and created anew, or another cluster answers")
	}
	return nil
}

// followed tells what is known of an object without a request, if anything is.
func (o *Objects) followed(kind kube.Kind, uid string) (known bool, err error) {
	if o.cluster.Live == nil {
		return false, nil
	}
	err = o.cluster.Live.Look(kind, uid)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, live.ErrDeleted):
		return true, refusal.DenyFor(err)
	}
	return false, nil // it is in doubt, and the API server is asked
}

// Namespace returns the namespace of the identity.
func (o *Objects) Namespace(ctx context.Context) (*corev1.Namespace, error) {
	if o.ns != nil {
		return o.ns, nil
	}
	namespace, err := o.cluster.Client.Namespace(o.asking(ctx), o.loginToken, o.identity.Namespace())
	if err != nil {
		return nil, o.refusal(err)
	}
	o.ns = namespace
	return namespace, nil
}

// refusal sorts a failed look-up. That the reviewer lacks a permission is a denial
// here, and a warning for the operator: it must never pass for "does not match". That
// the object is gone since the review is the doing of whoever deleted it.
func (o *Objects) refusal(err error) error {
	nobodysConcern := o.second != nil || o.cluster.SelfReview()
	var failed *kube.Error
	if errors.As(err, &failed) && failed.Failure == kube.NotFound {
		nobodysConcern = true
	}
	return Refusal(err, nobodysConcern, kube.Unauthorized, kube.Forbidden, kube.NotFound)
}
