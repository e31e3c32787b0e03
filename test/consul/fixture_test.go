package consul

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	consul "github.com/hashicorp/consul/api"
	vault "github.com/hashicorp/vault/api"
	"golang.org/x/mod/semver"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"vault-plugin-auth-kubernetes/test/testbed"
)

const (
	serviceNameAnnotation = "consul.hashicorp.com/service-name"

	longest = 256 // characters of a name that may be bound

	// longRole is not of the full length: a Vault that keeps its state in files
	// has no room for that.
	longRole = "role-" + fiftyName + fiftyName + fiftyName + fiftyName

	fiftyName = "fifty-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" // as many characters
	fifty     = "prod/" + fiftyName
)

// annotated are the service accounts that log in, as namespace/name, with their
// annotations.
var annotated = map[string]map[string]string{
	"prod/web":          nil,
	"prod/api":          nil,
	"prod/web-frontend": nil,
	"prod/web.v1":       nil, // a DNS subdomain, as a service account's name may be
	"prod/1":            nil,
	"staging/web":       nil,
	"staging/batch":     nil,
	"dev-1/a":           nil,
	fifty:               nil,

	"prod/payments-sa": {serviceNameAnnotation: "payments"},
	"staging/impostor": {serviceNameAnnotation: "web"},
	"prod/underscore":  {serviceNameAnnotation: "pay_ments"},
	"prod/upper":       {serviceNameAnnotation: "Payments"},
	"prod/blank":       {serviceNameAnnotation: ""},
	"prod/phrase":      {serviceNameAnnotation: "pay ments!"},
	"prod/longest":     {serviceNameAnnotation: strings.Repeat("l", longest)},
	"prod/too-long":    {serviceNameAnnotation: strings.Repeat("l", longest+1)},
	"prod/huge":        {serviceNameAnnotation: strings.Repeat("l", 1<<10+1)},
	"prod/other-note":  {"consul.hashicorp.com/service-meta": "payments"},
}

// foreign are accounts that log in with a token for other audiences, by the name
// that rows give them. A token of the others is for the API server's own.
var foreign = map[string]struct {
	account   string
	audiences []string
}{
	"prod/web for a cloud":      {"prod/web", []string{"sts.amazonaws.com"}},
	"prod/web for vault":        {"prod/web", []string{"vault"}},
	"prod/web for cloud and us": {"prod/web", []string{"sts.amazonaws.com", ownAudience}},
}

// ownAudience is what the API server takes for its own: its issuer.
const ownAudience = testbed.DefaultIssuer

// roles and policies exist on both sides, policies in Consul only: Vault binds
// a policy by its name, whether it exists or not.
//
// consulOnlyRoles have names that Vault's paths do not take. roleBounds are the
// namespaces that the plugin's roles bind, if not all.
var (
	consulOnlyRoles = []string{"-", "ops-"}
	roleBounds      = map[string]string{"staging-only": "staging"}

	roles = []string{
		"ops", "web", "api", "prod", "staging", "prod-web", "web_reader", "prod_web_1", "payments", "1", "staging-only", "-", "ops-",
		longRole,
	}
	policies = []string{
		"ops", "web", "prod", "staging", "dev-1", "prod-web", "web_reader", "payments", "team/web", "root", "Mixed",
		strings.Repeat("p", 128),
	}
)

// account is a service account and a token for it.
type account struct{ uid, jwt string }

type fixture struct {
	bed         *testbed.Bed
	host        *testbed.Vault // that has the mounts, the bed's unless a test kills it
	server      *testbed.Consul
	binary      string // the consul command
	version     string // of Consul, such as v1.14.11
	cluster     *testbed.Cluster
	consul      *consul.Client
	vault       *vault.Client
	accounts    map[string]account // by namespace/name
	reviewerJWT string
	methods     int // made so far, for their names
}

func newFixture(ctx context.Context, bed *testbed.Bed, server *testbed.Consul, binary string) (*fixture, error) {
	f := &fixture{bed: bed, host: bed.Vault, server: server, binary: binary, cluster: bed.Cluster, accounts: map[string]account{}}
	out, err := exec.CommandContext(ctx, binary, "version").Output()
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(out), "\n")
	f.version = strings.TrimSpace(strings.TrimPrefix(first, "Consul "))
	if f.consul, err = server.Client(); err != nil {
		return nil, err
	}
	if f.vault, err = bed.Vault.Client(); err != nil {
		return nil, err
	}
	if err := f.fillCluster(ctx); err != nil {
		return nil, err
	}
	return f, f.fillConsul(ctx)
}

// byDocumentation tells whether this Consul cannot be asked about a bind type, since it
// came with a later version: what its documentation says stands in the tables, and is
// held against the plugin alone.
func (f *fixture) byDocumentation(list ...rule) bool {
	return semver.Compare(f.version, "v1.17.0") < 0 && slices.ContainsFunc(list, func(r rule) bool {
		return r.bindType == "policy" || r.bindType == "templated-policy"
	})
}

func (f *fixture) fillCluster(ctx context.Context) error {
	kube, err := kubernetes.NewForConfig(f.cluster.Config)
	if err != nil {
		return err
	}
	for _, ns := range []string{"prod", "staging", "dev-1", "reviewers"} {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
		if _, err := kube.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(annotated)) {
		if f.accounts[id], err = newAccount(ctx, kube, id, annotated[id]); err != nil {
			return fmt.Errorf("service account %s: %w", id, err)
		}
	}
	for id, one := range foreign {
		a := f.accounts[one.account]
		if a.jwt, err = newToken(ctx, kube, one.account, one.audiences); err != nil {
			return fmt.Errorf("token %s: %w", id, err)
		}
		f.accounts[id] = a
	}
	reviewer, err := newAccount(ctx, kube, "reviewers/reviewer", nil)
	if err != nil {
		return err
	}
	f.reviewerJWT = reviewer.jwt
	return permit(ctx, kube)
}

func newAccount(ctx context.Context, kube kubernetes.Interface, id string, annotations map[string]string) (account, error) {
	namespace, name, _ := strings.Cut(id, "/")
	client := kube.CoreV1().ServiceAccounts(namespace)
	object, err := client.Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
	}, metav1.CreateOptions{})
	if err != nil {
		return account{}, err
	}
	jwt, err := newToken(ctx, kube, id, nil)
	return account{uid: string(object.UID), jwt: jwt}, err
}

func newToken(ctx context.Context, kube kubernetes.Interface, id string, audiences []string) (string, error) {
	namespace, name, _ := strings.Cut(id, "/")
	request := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{Audiences: audiences}}
	token, err := kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return token.Status.Token, nil
}

// permit lets the reviewer do what Consul's documentation asks for.
func permit(ctx context.Context, kube kubernetes.Interface) error {
	const name = "consul-auth-method"
	_, err := kube.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
			{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"get"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "reviewers", Name: "reviewer"}},
	}, metav1.CreateOptions{})
	return err
}

func (f *fixture) fillConsul(ctx context.Context) error {
	opts := (&consul.WriteOptions{}).WithContext(ctx)
	for _, name := range roles {
		if _, _, err := f.consul.ACL().RoleCreate(&consul.ACLRole{Name: name}, opts); err != nil {
			return fmt.Errorf("role %s: %w", name, err)
		}
	}
	for _, name := range policies {
		if _, _, err := f.consul.ACL().PolicyCreate(&consul.ACLPolicy{Name: name}, opts); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
	}
	return nil
}

// expand replaces {uid prod/web} by that service account's uid.
func (f *fixture) expand(text string) string {
	for id, a := range f.accounts {
		text = strings.ReplaceAll(text, "{uid "+id+"}", a.uid)
	}
	return text
}
