// Package identity holds the identity of a service account that somebody vouched for.
// An Identity can only be made from the status of an authenticated TokenReview, or from
// the claims of a token that internal/token verified, so code that is handed one need not
// ask whether it may be trusted. The package knows nothing of Vault or of the network.
package identity

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"vault-plugin-auth-kubernetes/internal/token"
)

// Keys of status.user.extra in which the API server reports what a token is
// bound to. Source: k8s.io/apiserver/pkg/authentication/serviceaccount.
const (
	extraPodName  = "authentication.kubernetes.io/pod-name"
	extraPodUID   = "authentication.kubernetes.io/pod-uid"
	extraNodeName = "authentication.kubernetes.io/node-name"
	extraNodeUID  = "authentication.kubernetes.io/node-uid"

	extraCredentialID = "authentication.kubernetes.io/credential-id"
)

const usernamePrefix = "system:serviceaccount:"

// The reasons for which FromReview refuses a review. They are denials: the API
// server was asked, and did not vouch for the token as a service account's.
var (
	ErrNotAuthenticated  = errors.New("the API server did not authenticate the token")
	ErrAudience          = errors.New("the token is not valid for the audience asked for")
	ErrNotServiceAccount = errors.New("the token does not belong to a service account")
)

// Object names an object that a token is bound to. Both parts are empty when the
// token is not bound to an object of that kind.
type Object struct {
	Name string
	UID  string
}

// Identity is a verified service account. The zero value is nobody.
type Identity struct {
	namespace string
	name      string
	uid       string
	audiences []string
	pod       Object
	node      Object
	by        Means

	credentialID string
}

// Means is by what an identity was verified. The words are fixed, and stand in logs,
// metrics and the metadata of tokens.
type Means string

// The means. The zero value is for identities that come from a lease.
const (
	ByReview Means = "review" // the API server said so
	ByKeys   Means = "keys"   // a key of the cluster signed it, and nobody was asked
	ByLive   Means = "live"   // the same, and a watch knows that what it ends with is there
)

// FromReview makes the identity that a TokenReview confirmed. wantAudiences are
// the audiences that were asked for in the review's spec; when there are any, at
// least one must come back, since an API server (or a webhook behind it) that
// does not know of audiences returns none and has then not checked them.
//
// The error is, or wraps, one of ErrNotAuthenticated, ErrAudience and
// ErrNotServiceAccount.
func FromReview(status *authv1.TokenReviewStatus, wantAudiences []string) (Identity, error) {
	if !status.Authenticated {
		if status.Error != "" {
			return Identity{}, fmt.Errorf("%w: %s", ErrNotAuthenticated, status.Error)
		}
		return Identity{}, ErrNotAuthenticated
	}
	if status.Error != "" {
		// An answer that both authenticates and reports an error is not one
		// to act on.
		return Identity{}, fmt.Errorf("%w: %s", ErrNotAuthenticated, status.Error)
	}
	if len(wantAudiences) > 0 && !intersects(wantAudiences, status.Audiences) {
		return Identity{}, fmt.Errorf("%w: asked for %q, valid for %q", ErrAudience, wantAudiences, status.Audiences)
	}
	namespace, name, err := splitUsername(status.User.Username)
	if err != nil {
		return Identity{}, err
	}
	if status.User.UID == "" {
		return Identity{}, fmt.Errorf("%w: the API server reported no uid for %q", ErrNotServiceAccount, status.User.Username)
	}
	pod := objectOf(one(status, extraPodName), one(status, extraPodUID))
	return Identity{
		namespace: namespace,
		name:      name,
		uid:       status.User.UID,
		audiences: slices.Clone(status.Audiences),
		pod:       pod,
		node:      nodeOf(pod, objectOf(one(status, extraNodeName), one(status, extraNodeUID))),
		by:        ByReview,

		credentialID: credentialIDOf(one(status, extraCredentialID)),
	}, nil
}

// FromVerified makes the identity of a token that a key of the cluster signed, under the
// terms that whoever calls it asked of the token. The error wraps ErrNotServiceAccount.
func FromVerified(v token.Verified, by Means) (Identity, error) {
	account := v.ServiceAccount()
	namespace, name, err := splitUsername(usernamePrefix + v.Namespace() + ":" + account.Name)
	if err != nil {
		return Identity{}, err
	}
	if account.UID == "" {
		return Identity{}, fmt.Errorf("%w: the token holds no uid", ErrNotServiceAccount)
	}
	pod := objectOf(v.Pod().Name, v.Pod().UID)
	return Identity{
		namespace: namespace,
		name:      name,
		uid:       account.UID,
		audiences: slices.Clone(v.Audiences()),
		pod:       pod,
		node:      nodeOf(pod, objectOf(v.Node().Name, v.Node().UID)),
		by:        by,
		// as the API server makes it; without a jti the form is not that of one
		credentialID: credentialIDOf("JTI=" + v.ID()),
	}, nil
}

// objectOf returns an object that is reported whole, under a name that Kubernetes
// gives to pods and nodes, and else none: names end up in metadata that policies may
// be made of.
func objectOf(name, uid string) Object {
	if uid == "" || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return Object{}
	}
	return Object{Name: name, UID: uid}
}

// credentialIDForm is JTI=, and what Kubernetes gives tokens as their jti.
var credentialIDForm = regexp.MustCompile(`^[A-Za-z0-9]{1,32}=[A-Za-z0-9_.-]{1,128}$`)

func credentialIDOf(id string) string {
	if !credentialIDForm.MatchString(id) {
		return "" // it ends up in metadata that policies may be made of
	}
	return id
}

// nodeOf returns the node that counts, which is that of the pod. Whoever may create
// tokens can have one bound to a node that none of its pods is on, and the API server
// then reports the node alone. Of a node that does not exist, which a pod may name, it
// reports no uid.
func nodeOf(pod, node Object) Object {
	if pod == (Object{}) {
		return Object{}
	}
	return node
}

// Namespace is the namespace of the service account; a DNS label.
func (i Identity) Namespace() string { return i.namespace }

// Name is the name of the service account; a DNS subdomain.
func (i Identity) Name() string { return i.name }

// UID is the unique id of the service account; a recreated account has another.
func (i Identity) UID() string { return i.uid }

// Audiences are those of the token that the API server confirmed; not to be
// modified by the caller.
func (i Identity) Audiences() []string { return i.audiences }

// Pod is the pod that the token is bound to, if any.
func (i Identity) Pod() Object { return i.pod }

// Node is the node of the pod that the token is bound to; empty for a token that is
// not bound to a pod, or whose node was not there when the token was issued.
func (i Identity) Node() Object { return i.node }

// By is by what the identity was verified at this login; empty for one from a lease.
func (i Identity) By() Means { return i.by }

// CredentialID names the token in the audit log of the cluster, as that has it: JTI= and the
// jti of the token. Empty where the API server does not tell, as before Kubernetes 1.30, and
// for tokens of secrets.
func (i Identity) CredentialID() string { return i.credentialID }

// splitUsername takes system:serviceaccount:NAMESPACE:NAME apart. The parts are
// checked by Kubernetes' own rules for names because they end up in request
// paths, alias names and metadata.
func splitUsername(username string) (namespace, name string, err error) {
	rest, ok := strings.CutPrefix(username, usernamePrefix)
	if !ok {
		return "", "", fmt.Errorf("%w: the user is %q", ErrNotServiceAccount, username)
	}
	namespace, name, ok = strings.Cut(rest, ":")
	if !ok ||
		len(validation.IsDNS1123Label(namespace)) > 0 ||
		len(validation.IsDNS1123Subdomain(name)) > 0 {
		return "", "", fmt.Errorf("%w: malformed user name %q", ErrNotServiceAccount, username)
	}
	return namespace, name, nil
}

func intersects(want, have []string) bool {
	return slices.ContainsFunc(want, func(w string) bool { return slices.Contains(have, w) })
}

// one returns the only value of an extra key. Several values would leave open
// which one counts, so they count as none.
func one(status *authv1.TokenReviewStatus, key string) string {
	if values := status.User.Extra[key]; len(values) == 1 {
		return values[0]
	}
	return ""
}
