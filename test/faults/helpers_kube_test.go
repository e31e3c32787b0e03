package faults

import (
	"context"
	"errors"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"vault-plugin-auth-kubernetes/test/testbed"
)

const audience = "vault"

// cluster is a Kubernetes cluster as an operator sets it up for Vault, and one
// service account that logs in.
type cluster struct {
	*testbed.Cluster
	client             *kubernetes.Clientset
	reviewer           string // token of an account that may do what a mount can need
	namespace, account string
	uid                string // of the account
}

func newCluster(ctx context.Context, running *testbed.Cluster) (*cluster, error) {
	client, err := kubernetes.NewForConfig(running.Config)
	if err != nil {
		return nil, err
	}
	c := &cluster{Cluster: running, client: client, account: "app"}
	namespace, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "faults-", Labels: map[string]string{"vault": "yes"}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	c.namespace = namespace.Name
	for _, name := range []string{c.account, "reviewer"} {
		account, err := client.CoreV1().ServiceAccounts(c.namespace).
			Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		if name == c.account {
			c.uid = string(account.UID)
		}
	}
	return c, c.makeReviewer(ctx)
}

// makeReviewer returns once the API server has noticed the permissions.
func (c *cluster) makeReviewer(ctx context.Context) (err error) {
	_, err = c.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: c.namespace},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"namespaces", "serviceaccounts"}, Verbs: []string{"get"}},
		},
	}, metav1.CreateOptions{})
	for _, role := range []string{"system:auth-delegator", c.namespace} {
		_, bindErr := c.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "faults-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: c.namespace, Name: "reviewer"}},
		}, metav1.CreateOptions{})
		err = errors.Join(err, bindErr)
	}
	if err != nil {
		return err
	}
	if c.reviewer, err = c.token(ctx, "reviewer"); err != nil {
		return err
	}
	return c.awaitReviewer(ctx)
}

func (c *cluster) awaitReviewer(ctx context.Context) error {
	config := rest.AnonymousClientConfig(c.Config)
	config.BearerToken = c.reviewer
	reviewer, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err1 := reviewer.AuthenticationV1().TokenReviews().
			Create(ctx, &authv1.TokenReview{Spec: authv1.TokenReviewSpec{Token: "x"}}, metav1.CreateOptions{})
		_, err2 := reviewer.CoreV1().ServiceAccounts(c.namespace).Get(ctx, c.account, metav1.GetOptions{})
		if err := errors.Join(err1, err2); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *cluster) token(ctx context.Context, account string, audiences ...string) (string, error) {
	request, err := c.client.CoreV1().ServiceAccounts(c.namespace).CreateToken(ctx, account,
		&authv1.TokenRequest{Spec: authv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return request.Status.Token, nil
}

// newToken is a token with which the service account of the tests can log in.
func (c *cluster) newToken(t testing.TB) string {
	t.Helper()
	token, err := c.token(t.Context(), c.account, audience)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
