// Package rig sets up what is measured: one cluster, and for each section of the
// bench a Vault of its own in which Vault's method and this plugin are mounted alike.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"vault-plugin-auth-kubernetes/bench/internal/floor"
	"vault-plugin-auth-kubernetes/test/testbed"
)

const (
	namespace = "bench"
	audience  = "vault"

	// tokenSeconds is longer than any run.
	tokenSeconds = 24 * 60 * 60

	// atOnce is how many objects are made at a time when there are many.
	atOnce = 8
)

// Options say what to set up.
type Options struct {
	Progress io.Writer
	Tokens   int // service accounts with a token each
	Vault    testbed.VaultOptions
}

// Rig is a running cluster with service accounts that can log in.
type Rig struct {
	Tokens []string // one for each service account

	bed      *testbed.Bed
	kube     kubernetes.Interface
	reviewer string
	options  Options
}

// Start brings up the cluster. It runs until Stop, also when ctx ends.
func Start(ctx context.Context, o Options) (_ *Rig, err error) {
	bed, err := testbed.Start(ctx, testbed.Options{Progress: o.Progress, Vault: o.Vault})
	if err != nil {
		return nil, err
	}
	r := &Rig{bed: bed, options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Stop())
		}
	}()
	// Each section has a fresh Vault, which this one must not disturb.
	if err := bed.Vault.Stop(); err != nil {
		return nil, err
	}
	if r.kube, err = kubernetes.NewForConfig(bed.Cluster.Config); err != nil {
		return nil, err
	}
	return r, r.createAccounts(ctx)
}

// Stop ends everything and removes its state.
func (r *Rig) Stop() error { return r.bed.Stop() }

// createAccounts makes the reviewer and the service accounts that log in.
func (r *Rig) createAccounts(ctx context.Context) error {
	_, err := r.kube.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if r.reviewer, err = r.createAccount(ctx, "reviewer"); err != nil {
		return err
	}
	_, err = r.kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-reviewer"},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "reviewer"}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := r.letFollow(ctx); err != nil {
		return err
	}
	r.Tokens = make([]string, r.options.Tokens)
	return inParallel(ctx, len(r.Tokens), func(ctx context.Context, i int) (err error) {
		r.Tokens[i], err = r.createAccount(ctx, fmt.Sprintf("app-%03d", i), audience)
		return err
	})
}

func (r *Rig) createAccount(ctx context.Context, name string, audiences ...string) (token string, err error) {
	accounts := r.kube.CoreV1().ServiceAccounts(namespace)
	_, err = accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	seconds := int64(tokenSeconds)
	request, err := accounts.CreateToken(ctx, name, &authv1.TokenRequest{
		Spec: authv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return request.Status.Token, nil
}

// inParallel calls do for 0 to n-1, a few at a time.
func inParallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return do(ctx, i)
		})
	}
	return group.Wait()
}

// Floor is what the client of bare TokenReviews needs: the same cluster, the same
// reviewer, the same tokens.
func (r *Rig) Floor() floor.Setup {
	return floor.Setup{
		Host: r.bed.Cluster.Host, CAPEM: r.bed.Cluster.CAPEM,
		Credential: r.reviewer, Audience: audience, Tokens: r.Tokens,
	}
}

// ClusterPIDs are the processes of the cluster by their names, kube-apiserver and etcd.
func (r *Rig) ClusterPIDs() (map[string]int, error) { return r.bed.Cluster.PIDs() }

// ClusterVersion is that of the API server.
func (r *Rig) ClusterVersion() (string, error) {
	info, err := r.kube.Discovery().ServerVersion()
	if err != nil {
		return "", err
	}
	return info.GitVersion, nil
}

// APIServer is the URL of the API server, and the CA that signed its certificate.
func (r *Rig) APIServer() (host, caPEM string) { return r.bed.Cluster.Host, r.bed.Cluster.CAPEM }

// Dir is the folder in which everything stores.
func (r *Rig) Dir() string { return r.bed.Dir }

// PluginBinary is the plugin as it was built for this run.
func (r *Rig) PluginBinary() string { return r.bed.PluginBinary }

// PluginVersion is what the plugin says of itself.
func (r *Rig) PluginVersion() string { return r.bed.PluginVersion }

// TokenReviews is how many TokenReviews the API server has answered since it began.
func (r *Rig) TokenReviews(ctx context.Context) (int64, error) {
	text, err := r.kube.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, err
	}
	return countRequests(text, "tokenreviews")
}

// countRequests adds up the API server's requests for a resource.
func countRequests(metrics []byte, resource string) (int64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(metrics))
	if err != nil {
		return 0, err
	}
	family := families["apiserver_request_total"]
	if family == nil {
		return 0, errors.New("the API server has no metric apiserver_request_total")
	}
	sum := 0.0
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "resource" && label.GetValue() == resource {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return int64(sum), nil
}
