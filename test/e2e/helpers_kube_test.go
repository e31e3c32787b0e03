package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// audience is what the tests' tokens and roles have, unless a test is about it.
const audience = "vault"

// cluster is a Kubernetes cluster as an operator sets it up for Vault.
type cluster struct {
	*testbed.Cluster
	client *kubernetes.Clientset
	// reviewer is the token of a reviewer that may do all that a mount can need.
	reviewer string
	// certified is the same for a reviewer that is known by a certificate.
	certified clientPair
}

// fields is the body of a request, or a part of one.
type fields = map[string]any

var (
	mainClusterOnce   = sync.OnceValues(func() (*cluster, error) { return newCluster(bed.Cluster) })
	secondClusterOnce = sync.OnceValues(func() (*cluster, error) { return newCluster(otherCluster) })
)

// mainCluster is the cluster of the tests.
func mainCluster(t testing.TB) *cluster {
	t.Helper()
	c, err := mainClusterOnce()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// secondCluster is a cluster with another CA and other keys, which takes the
// static tokens as well.
func secondCluster(t testing.TB) *cluster {
	t.Helper()
	c, err := secondClusterOnce()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newCluster takes no testing.T, since what it makes outlives the test that
// happens to come first.
func newCluster(bed *testbed.Cluster) (*cluster, error) {
	client, err := kubernetes.NewForConfig(bed.Config)
	if err != nil {
		return nil, err
	}
	c := &cluster{Cluster: bed, client: client}
	secret("signing key", bed.SigningKeyPEM)
	_, c.reviewer, err = c.makeReviewer(context.Background(), canReview, canGetNamespaces, canGetServiceAccounts)
	if err != nil {
		return nil, err
	}
	c.certified, err = c.makeCertified(context.Background(), canReview, canGetNamespaces, canGetServiceAccounts)
	return c, err
}

// config is what an operator writes for Vault outside of the cluster.
func (c *cluster) config() fields {
	return fields{
		"kubernetes_host":      c.Host,
		"kubernetes_ca_cert":   c.CAPEM,
		"token_reviewer_jwt":   c.reviewer,
		"disable_local_ca_jwt": true,
	}
}

// account is a service account.
type account struct{ namespace, name, uid string }

func (c *cluster) newNamespace(t testing.TB, labels map[string]string) string {
	t.Helper()
	name, err := c.makeNamespace(t.Context(), labels)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func (c *cluster) makeNamespace(ctx context.Context, labels map[string]string) (string, error) {
	namespace, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return namespace.Name, nil
}

// newAccount makes a service account; an empty namespace stands for a new one.
func (c *cluster) newAccount(t testing.TB, namespace, name string, annotations map[string]string) account {
	t.Helper()
	if namespace == "" {
		namespace = c.newNamespace(t, nil)
	}
	a, err := c.makeAccount(t.Context(), namespace, name, annotations)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *cluster) makeAccount(ctx context.Context, namespace, name string, annotations map[string]string) (account, error) {
	made, err := c.client.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
	}, metav1.CreateOptions{})
	if err != nil {
		return account{}, err
	}
	return account{namespace: namespace, name: name, uid: string(made.UID)}, nil
}

// newToken asks the API server for a token, as kubelet does for a projected one.
// Without audiences it is for the API server itself.
func (c *cluster) newToken(t testing.TB, a account, audiences ...string) string {
	t.Helper()
	token, err := c.makeToken(t.Context(), a, authv1.TokenRequestSpec{Audiences: audiences})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (c *cluster) makeToken(ctx context.Context, a account, spec authv1.TokenRequestSpec) (string, error) {
	request, err := c.client.CoreV1().ServiceAccounts(a.namespace).
		CreateToken(ctx, a.name, &authv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return secret("service account token", request.Status.Token), nil
}

// newPodToken is a token bound to a new pod, and the pod's name.
func (c *cluster) newPodToken(t testing.TB, a account) (token, pod string) {
	t.Helper()
	made, err := c.client.CoreV1().Pods(a.namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "app-"},
		Spec: corev1.PodSpec{
			ServiceAccountName: a.name,
			Containers:         []corev1.Container{{Name: "app", Image: "app"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token, err = c.makeToken(t.Context(), a, authv1.TokenRequestSpec{
		Audiences:      []string{audience},
		BoundObjectRef: &authv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: made.Name, UID: made.UID},
	})
	if err != nil {
		t.Fatal(err)
	}
	return token, made.Name
}

func (c *cluster) podUID(t testing.TB, a account, name string) string {
	t.Helper()
	pod, err := c.client.CoreV1().Pods(a.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(pod.UID)
}

func (c *cluster) deletePod(t testing.TB, a account, name string) {
	t.Helper()
	pods := c.client.CoreV1().Pods(a.namespace)
	pod, err := pods.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := pods.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	claims := c.claims(a)
	claims["kubernetes.io"].(fields)["pod"] = fields{"name": name, "uid": string(pod.UID)}
	c.awaitRefusal(t, claims)
}

func (c *cluster) deleteAccount(t testing.TB, a account) {
	t.Helper()
	if err := c.client.CoreV1().ServiceAccounts(a.namespace).Delete(t.Context(), a.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitRefusal(t, c.claims(a))
}

// claims are those of a token of the account that is good for ten minutes.
func (c *cluster) claims(a account) fields {
	now := time.Now()
	return fields{
		"iss": c.Issuer,
		"sub": "system:serviceaccount:" + a.namespace + ":" + a.name,
		"aud": []string{audience},
		"exp": now.Add(10 * time.Minute).Unix(),
		"iat": now.Unix(),
		"nbf": now.Unix(),
		"kubernetes.io": fields{
			"namespace":      a.namespace,
			"serviceaccount": fields{"name": a.name, "uid": a.uid},
		},
	}
}

// sign makes a token with the cluster's own key.
func (c *cluster) sign(t testing.TB, claims fields) string {
	t.Helper()
	token, err := testbed.SignToken(c.SigningKeyPEM, claims)
	if err != nil {
		t.Fatal(err)
	}
	return secret("signed token", token)
}

// awaitRefusal waits until the API server knows that what a token with these
// claims is bound to is gone. It remembers for ten seconds which tokens were good,
// so each look takes another token, and none may be the one that a test is about.
func (c *cluster) awaitRefusal(t testing.TB, claims fields) {
	t.Helper()
	await(t, "the API server to refuse tokens of what was deleted", func() (bool, error) {
		claims["jti"] = rand.Text()
		review, err := c.client.AuthenticationV1().TokenReviews().Create(t.Context(), &authv1.TokenReview{
			Spec: authv1.TokenReviewSpec{Token: c.sign(t, claims), Audiences: []string{audience}},
		}, metav1.CreateOptions{})
		return err == nil && !review.Status.Authenticated, err
	})
}

// permission is something that a reviewer may be allowed to do.
type permission struct{ group, resource, verb string }

var (
	canReview             = permission{"authentication.k8s.io", "tokenreviews", "create"}
	canGetNamespaces      = permission{"", "namespaces", "get"}
	canGetServiceAccounts = permission{"", "serviceaccounts", "get"}
	canGetPods            = permission{"", "pods", "get"}
)

// newReviewer makes a service account with the given permissions and a token of it.
func (c *cluster) newReviewer(t testing.TB, permissions ...permission) (account, string) {
	t.Helper()
	a, token, err := c.makeReviewer(t.Context(), permissions...)
	if err != nil {
		t.Fatal(err)
	}
	return a, token
}

func (c *cluster) makeReviewer(ctx context.Context, permissions ...permission) (a account, token string, err error) {
	namespace, err := c.makeNamespace(ctx, nil)
	if err != nil {
		return a, "", err
	}
	if a, err = c.makeAccount(ctx, namespace, "reviewer", nil); err != nil {
		return a, "", err
	}
	if err = c.allow(ctx, a, permissions...); err != nil {
		return a, "", err
	}
	token, err = c.makeToken(ctx, a, authv1.TokenRequestSpec{})
	return a, token, err
}

// allow gives a service account permissions in the whole cluster.
func (c *cluster) allow(ctx context.Context, a account, permissions ...permission) error {
	return c.allowSubject(ctx, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: a.namespace, Name: a.name},
		"system:serviceaccount:"+a.namespace+":"+a.name, permissions...)
}

// allowSubject gives permissions to a subject that has the user name. For reviews it is bound
// to the role that Kubernetes has for that, as documented.
func (c *cluster) allowSubject(ctx context.Context, subject rbacv1.Subject, user string, permissions ...permission) error {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	for _, p := range permissions {
		if p != canReview {
			role.Rules = append(role.Rules, rbacv1.PolicyRule{
				APIGroups: []string{p.group}, Resources: []string{p.resource}, Verbs: []string{p.verb},
			})
		}
	}
	role, err := c.client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	if err == nil {
		err = c.bind(ctx, subject, role.Name)
	}
	if err == nil && slices.Contains(permissions, canReview) {
		err = c.bind(ctx, subject, "system:auth-delegator")
	}
	for _, p := range permissions {
		err = errors.Join(err, c.awaitPermission(ctx, user, p))
	}
	return err
}

// roleOf is the role that allow has made for a service account.
func (c *cluster) roleOf(t testing.TB, a account) *rbacv1.ClusterRole {
	t.Helper()
	for _, binding := range sure(c.client.RbacV1().ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})).Items {
		if len(binding.Subjects) == 1 && binding.Subjects[0].Namespace == a.namespace && strings.HasPrefix(binding.RoleRef.Name, "test-") {
			return sure(c.client.RbacV1().ClusterRoles().Get(t.Context(), binding.RoleRef.Name, metav1.GetOptions{}))
		}
	}
	t.Fatalf("%s/%s has no role", a.namespace, a.name)
	return nil
}

func (c *cluster) bind(ctx context.Context, subject rbacv1.Subject, role string) error {
	_, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}, metav1.CreateOptions{})
	return err
}

// awaitPermission waits until the API server has noticed a new binding.
func (c *cluster) awaitPermission(ctx context.Context, user string, p permission) error {
	return poll(func() (bool, error) {
		review, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authzv1.SubjectAccessReview{
			Spec: authzv1.SubjectAccessReviewSpec{
				User:               user,
				ResourceAttributes: &authzv1.ResourceAttributes{Group: p.group, Resource: p.resource, Verb: p.verb},
			},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed, err
	})
}

func await(t testing.TB, what string, done func() (bool, error)) {
	t.Helper()
	if err := poll(done); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// poll calls done until it returns true or an error, for at most half a minute.
func poll(done func() (bool, error)) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
	}
	return errors.New("not within 30 seconds")
}
