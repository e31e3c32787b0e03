package clients

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	namespace = "clients"
	audience  = "vault"
)

// reviewer is the token of an account that may do what a mount can need.
var reviewer string

// makeReviewer returns once the API server has noticed the permissions.
func makeReviewer(ctx context.Context) error {
	_, err1 := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	_, err2 := makeAccount(ctx, "reviewer")
	_, err3 := kube.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces", "serviceaccounts"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	err := errors.Join(err1, err2, err3)
	for _, role := range []string{"system:auth-delegator", namespace} {
		_, bindErr := kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "clients-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "reviewer"}},
		}, metav1.CreateOptions{})
		err = errors.Join(err, bindErr)
	}
	if err != nil {
		return err
	}
	if reviewer, err = tokenOf(ctx, "reviewer"); err != nil {
		return err
	}
	config := rest.AnonymousClientConfig(bed.Cluster.Config)
	config.BearerToken = reviewer
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err1 := client.AuthenticationV1().TokenReviews().
			Create(ctx, &authv1.TokenReview{Spec: authv1.TokenReviewSpec{Token: "x"}}, metav1.CreateOptions{})
		_, err2 := client.CoreV1().ServiceAccounts(namespace).Get(ctx, "reviewer", metav1.GetOptions{})
		if err := errors.Join(err1, err2); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// makeAccount returns the uid.
func makeAccount(ctx context.Context, name string) (uid string, err error) {
	account, err := kube.CoreV1().ServiceAccounts(namespace).
		Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return string(account.UID), nil
}

func tokenOf(ctx context.Context, account string, audiences ...string) (string, error) {
	request, err := kube.CoreV1().ServiceAccounts(namespace).
		CreateToken(ctx, account, &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return request.Status.Token, nil
}

// account is a service account whose token a client reads from a file, as a pod has it.
type account struct{ name, uid, file string }

func newAccount(t testing.TB, name, file string) account {
	t.Helper()
	uid, err := makeAccount(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	a := account{name: name, uid: uid, file: file}
	a.rotate(t)
	return a
}

// rotate puts a new token into the file, as the kubelet does: another file takes its name.
func (a account) rotate(t testing.TB) {
	t.Helper()
	jwt, err := tokenOf(t.Context(), a.name, audience)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(a.file+".new", []byte(jwt), 0o600), os.Rename(a.file+".new", a.file)); err != nil {
		t.Fatal(err)
	}
}

// anew deletes the account and creates one of the same name.
func (a account) anew(t testing.TB) account {
	t.Helper()
	err := kube.CoreV1().ServiceAccounts(namespace).Delete(t.Context(), a.name, metav1.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return newAccount(t, a.name, a.file)
}
