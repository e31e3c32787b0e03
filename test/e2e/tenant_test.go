package e2e

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// editRoles are what the stock ClusterRole edit is put together from by a controller,
// which the test bed does not have.
var editRoles = []string{"system:aggregate-to-edit", "system:aggregate-to-view"}

// tenant is somebody with the rights of edit in one namespace, and nothing else.
type tenant struct {
	t         *testing.T
	namespace string
	client    *kubernetes.Clientset
}

func newTenant(t *testing.T, c *cluster) tenant {
	t.Helper()
	owner := c.newAccount(t, "", "owner", nil)
	for _, role := range editRoles {
		_, err := c.client.RbacV1().RoleBindings(owner.namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "edit-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: owner.namespace, Name: owner.name}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	token, err := c.makeToken(t.Context(), owner, authv1.TokenRequestSpec{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: c.Host, BearerToken: token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: []byte(c.CAPEM)},
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the rights of the tenant", func() (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(owner.namespace).Create(t.Context(),
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: "try-"}}, metav1.CreateOptions{})
		if apierrors.IsForbidden(err) {
			return false, nil
		}
		return err == nil, err
	})
	return tenant{t, owner.namespace, client}
}

// account makes a service account that is labelled and annotated at will.
func (e tenant) account(name string, labels, annotations map[string]string) {
	e.t.Helper()
	_, err := e.client.CoreV1().ServiceAccounts(e.namespace).Create(e.t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations},
	}, metav1.CreateOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
}

// pod makes a pod that names its own node; nobody runs it.
func (e tenant) pod(name, account, node string) {
	e.t.Helper()
	_, err := e.client.CoreV1().Pods(e.namespace).Create(e.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: account, NodeName: node,
			Containers: []corev1.Container{{Name: "app", Image: "app"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
}

// token is what kubectl create token --bound-object-kind=… --bound-object-name=… makes.
func (e tenant) token(account, kind, name string, audiences ...string) string {
	e.t.Helper()
	spec := authv1.TokenRequestSpec{Audiences: audiences}
	if kind != "" {
		spec.BoundObjectRef = &authv1.BoundObjectReference{Kind: kind, APIVersion: "v1", Name: name}
	}
	made, err := e.client.CoreV1().ServiceAccounts(e.namespace).CreateToken(e.t.Context(), account,
		&authv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	return secret("token of a tenant", made.Status.Token)
}

// TestATenantOnARealCluster plays a tenant against rules as people write them, with its
// real rights: docs/security-model.md says which it matches.
func TestATenantOnARealCluster(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	node := "gpu-" + strings.ToLower(rand.Text()[:8])
	if _, err := c.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ci := c.newNamespace(t, map[string]string{"team": "ci"})
	e := newTenant(t, c)
	if _, err := e.client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("the tenant may see nodes: %v", err)
	}
	e.account("web", map[string]string{"team": "ci"}, map[string]string{"team": "ci", serviceNameAnnotation: "db"})
	e.pod("runner-1", "web", node)
	e.pod("runner-2", "web", "no-such-"+node)

	open := map[string]string{ // of which the tenant has some
		"name": `serviceaccount.name == "web"`, "pod": `pod.name matches "^runner-"`, "node": `node.name == "` + node + `"`, "node-uid": "node.uid is not empty",
		"audience": `"vault-admin" in audiences`, "label": `serviceaccount.labels.team == "ci"`, "annotation": `serviceaccount.annotations.team == "ci"`,
	}
	closed := map[string]string{"mapped": `consul.namespace == "k8s-` + ci + `"`, "team": `namespace.labels.team == "ci"`, "claimed": `serviceaccount.name == "db"`}
	for name, selector := range open {
		closed["ns-and-"+name] = `serviceaccount.namespace == "` + ci + `" and ` + selector
		closed["team-and-"+name] = `namespace.labels.team == "ci" and ` + selector
	}
	rules := map[string][3]string{"base": {"", "policy", "base"}, "by-annotation": {`serviceaccount.name == "db"`, "policy", "by-annotation"}}
	for _, selectors := range []map[string]string{open, closed} {
		for name, selector := range selectors {
			rules[name] = [3]string{selector, "policy", name}
		}
	}
	m := newRuleMount(t, rules)
	m.must(t, http.MethodPatch, "config", fields{
		"map_namespaces": true, "consul_namespace_prefix": "k8s-", "binding_rule_audiences": "vault,vault-admin",
	})
	m.must(t, http.MethodPost, "binding-rule/by-annotation", fields{"use_service_name_annotation": true})

	anyway := []string{"annotation", "base", "by-annotation", "default", "label", "name"}
	for name, row := range map[string]struct {
		token string
		adds  []string
	}{
		"nothing else":                       {e.token("web", "", "", "vault"), nil},
		"another audience":                   {e.token("web", "", "", "vault-admin"), []string{"audience"}},
		"a node alone":                       {e.token("web", "Node", node, "vault"), nil},
		"a pod that names a node":            {e.token("web", "Pod", "runner-1", "vault"), []string{"node", "node-uid", "pod"}},
		"a pod that names a node that is no": {e.token("web", "Pod", "runner-2", "vault"), []string{"pod"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := m.login(t, fields{"jwt": row.token})
			want := sorted(append(slices.Clone(anyway), row.adds...))
			if policies := sorted(stringsOf(got.auth()["policies"])); !slices.Equal(policies, want) {
				t.Errorf("the tenant has %q, want %q: %v", policies, want, got)
			}
			metadata, _ := got.auth()["metadata"].(map[string]any)
			if named := metadata["node_name"] != nil; named != slices.Contains(row.adds, "node") {
				t.Errorf("the metadata is %v", metadata)
			}
		})
	}

	own := c.newAccount(t, ci, "web", nil)
	got := stringsOf(m.login(t, fields{"jwt": c.newToken(t, own, "vault")}).auth()["policies"])
	for _, name := range []string{"mapped", "team", "name", "ns-and-name", "team-and-name"} {
		if !slices.Contains(got, name) {
			t.Errorf("the account that the rules are meant for has %q, want %s too", got, name)
		}
	}
}

// TestAnnotatedWildcardReadsNothing has a templated policy on metadata that annotations
// give, and a tenant that annotates itself with what a path takes for a wildcard.
func TestAnnotatedWildcardReadsNothing(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	e := newTenant(t, c)
	m := newMount(t, testbed.PluginName, bed.PluginVersion)
	m.must(t, http.MethodPost, "config", with(c.config(), fields{"use_annotations_as_alias_metadata": true}))
	m.must(t, http.MethodPost, "role/any", fields{
		"bound_service_account_names": "*", "bound_service_account_namespaces": e.namespace, "token_policies": m.path,
	})
	accessor := must(t, http.MethodGet, "sys/auth/"+m.path, nil).data()["accessor"].(string)
	must(t, http.MethodPost, "sys/mounts/"+m.path, fields{"type": "kv", "options": fields{"version": "1"}})
	must(t, http.MethodPut, "sys/policies/acl/"+m.path, fields{
		"policy": `path "` + m.path + `/{{identity.entity.aliases.` + accessor + `.metadata.team}}/x" { capabilities = ["read"] }`,
	})
	for _, path := range []string{"pay/x", "own/x", "own/pay/x"} {
		must(t, http.MethodPut, m.path+"/"+path, fields{"of": path})
	}
	for name, row := range map[string]struct {
		team  string
		reads []string
	}{
		"own":  {"own", []string{"own/x"}},
		"plus": {"+", nil},
		"star": {"*", nil},
		"path": {"own/pay", nil},
		"mix":  {"+/+", nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := tenant{t, e.namespace, e.client}
			e.account(name, nil, map[string]string{"vault.hashicorp.com/alias-metadata-team": row.team})
			got := m.login(t, fields{"role": "any", "jwt": e.token(name, "", "", "vault")})
			if got.Status != http.StatusOK {
				t.Fatalf("the login: %v", got)
			}
			token := secret("Vault token", got.auth()["client_token"].(string))
			for _, path := range []string{"pay/x", "own/x", "own/pay/x"} {
				read := m.server.sendAs(t, token, http.MethodGet, m.path+"/"+path, nil)
				if (read.Status == http.StatusOK) != slices.Contains(row.reads, path) {
					t.Errorf("reads %s: %v", path, read)
				}
			}
		})
	}
}
