package identity

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Account is a service account as decisions look at it: an Identity, which an API server
// vouched for, or a Supposed, which nobody did. No other package can make one.
type Account interface {
	// Namespace and Name are names that Kubernetes gives to such objects.
	Namespace() string
	Name() string
	// UID is the unique id; of a Supposed it is empty where it is not known.
	UID() string
	Audiences() []string
	Pod() Object
	Node() Object
	// CredentialID names the token in the cluster's audit log; a Supposed has none.
	CredentialID() string

	sealed()
}

func (Identity) sealed() {}
func (Supposed) sealed() {}

// Supposed is a service account that an operator wants to know about, and that nobody
// vouched for. It is no Identity and cannot become one: what would become of it can be
// told, and no token can be made of it.
type Supposed struct{ account supposed }

// supposed keeps what is supposed apart: two structs with the same fields could be
// converted into each other.
type supposed struct {
	namespace, name, uid string
	audiences            []string
	pod, node            Object
}

// ErrNoAccount is about a text that names no service account. It does not repeat it,
// since it may be a token.
var ErrNoAccount = errors.New("has to be NAMESPACE/NAME, such as shop/web, and names have lower-case letters, digits, - and dots")

// ErrNodeWithoutPod is why a node alone is refused, which counts for nothing in a login.
var ErrNodeWithoutPod = errors.New("a node counts only with the pod that is on it: name the pod as well")

// SplitAccount takes a service account apart, in any of the forms in which Kubernetes and
// kubectl write it: shop/web, shop:web, system:serviceaccount:shop:web. It does not judge
// the names; without a namespace both are empty.
func SplitAccount(text string) (namespace, name string) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "system:serviceaccount:")
	at := strings.IndexAny(text, "/:")
	if at < 0 {
		return "", ""
	}
	return text[:at], text[at+1:]
}

// Suppose is a service account as it would be if a token were bound so. The uids of pod
// and node may be empty, where they are not known.
func Suppose(namespace, name string, pod, node Object) (Supposed, error) {
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return Supposed{}, ErrNoAccount
	}
	for what, object := range map[string]Object{"pod": pod, "node": node} {
		if object.Name == "" && object.UID != "" || object.Name != "" && len(validation.IsDNS1123Subdomain(object.Name)) > 0 {
			return Supposed{}, fmt.Errorf("%s: it has to be the name alone, such as web-0, without a namespace", what)
		}
	}
	if node != (Object{}) && pod == (Object{}) {
		return Supposed{}, ErrNodeWithoutPod
	}
	return Supposed{supposed{namespace: namespace, name: name, pod: pod, node: node}}, nil
}

// Known returns the account with what was found out about it: its uid, and the audiences
// that a review would confirm.
func (s Supposed) Known(uid string, audiences []string) Supposed {
	s.account.uid, s.account.audiences = uid, audiences
	return s
}

// Namespace is that of the service account.
func (s Supposed) Namespace() string { return s.account.namespace }

// Name is that of the service account.
func (s Supposed) Name() string { return s.account.name }

// UID is the unique id of the service account; empty if it is not known.
func (s Supposed) UID() string { return s.account.uid }

// Audiences are those that a review would confirm.
func (s Supposed) Audiences() []string { return s.account.audiences }

// Pod is the pod that the token would be bound to, if any.
func (s Supposed) Pod() Object { return s.account.pod }

// Node is the node of that pod, if any.
func (s Supposed) Node() Object { return s.account.node }

// CredentialID is empty: there is no token.
func (s Supposed) CredentialID() string { return "" }
