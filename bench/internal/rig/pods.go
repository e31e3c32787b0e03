package rig

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// letFollow gives the reviewer what verification=live needs.
func (r *Rig) letFollow(ctx context.Context) error {
	rbac := r.kube.RbacV1()
	_, err := rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-follower"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods", "serviceaccounts"}, Verbs: []string{"list", "watch"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-follower"},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "bench-follower"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "reviewer"}},
	}, metav1.CreateOptions{})
	return err
}

// Pod is one of the pods of the service account app-000.
type Pod struct{ name, uid string }

// Pods makes pods whose names begin with a prefix.
func (r *Rig) Pods(ctx context.Context, prefix string, n int) ([]Pod, error) {
	pods := make([]Pod, n)
	err := inParallel(ctx, n, func(ctx context.Context, i int) error {
		made, err := r.kube.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%06d", prefix, i)},
			Spec:       corev1.PodSpec{ServiceAccountName: "app-000", Containers: []corev1.Container{{Name: "app", Image: "app"}}},
		}, metav1.CreateOptions{})
		if err == nil {
			pods[i] = Pod{made.Name, string(made.UID)}
		}
		return err
	})
	return pods, err
}

// ServiceAccounts makes service accounts, which nobody logs in with.
func (r *Rig) ServiceAccounts(ctx context.Context, n int) error {
	return inParallel(ctx, n, func(ctx context.Context, i int) error {
		_, err := r.kube.CoreV1().ServiceAccounts(namespace).Create(ctx,
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("idle-%06d", i)}}, metav1.CreateOptions{})
		return err
	})
}

// Fresh signs tokens that nobody has seen, for pods in turn, as the API server would issue
// them.
func (r *Rig) Fresh(ctx context.Context, pods []Pod, n int) ([]string, error) {
	account, err := r.kube.CoreV1().ServiceAccounts(namespace).Get(ctx, "app-000", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	now, tokens := time.Now(), make([]string, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for i := range tokens {
		group.Go(func() (err error) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			pod := pods[i%len(pods)]
			tokens[i], err = testbed.SignToken(r.bed.Cluster.SigningKeyPEM, map[string]any{
				"iss": r.bed.Cluster.Issuer, "sub": "system:serviceaccount:" + namespace + ":app-000", "aud": []string{audience}, "jti": uuid.NewUUID(),
				"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
				"kubernetes.io": map[string]any{
					"namespace":      namespace,
					"serviceaccount": map[string]any{"name": "app-000", "uid": string(account.UID)},
					"pod":            map[string]any{"name": pod.name, "uid": pod.uid},
				},
			})
			return err
		})
	}
	return tokens, group.Wait()
}
