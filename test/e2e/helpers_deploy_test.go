package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authzv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// An atom is the smallest part of a cluster role: one verb on one resource or URL.
type atom struct{ verb, group, resource, url string }

func (a atom) String() string {
	switch {
	case a.url != "":
		return a.verb + " " + a.url
	case a.group != "":
		return a.verb + " " + a.resource + "." + a.group
	}
	return a.verb + " " + a.resource
}

func (a atom) rule() rbacv1.PolicyRule {
	if a.url != "" {
		return rbacv1.PolicyRule{Verbs: []string{a.verb}, NonResourceURLs: []string{a.url}}
	}
	return rbacv1.PolicyRule{Verbs: []string{a.verb}, APIGroups: []string{a.group}, Resources: []string{a.resource}}
}

// atomsOf takes a cluster role's rules apart.
func atomsOf(t *testing.T, role rbacv1.ClusterRole) []atom {
	t.Helper()
	if role.AggregationRule != nil {
		t.Fatalf("the role %s is put together of others, which this test does not follow", role.Name)
	}
	var atoms []atom
	for _, rule := range role.Rules {
		if len(rule.ResourceNames) > 0 {
			t.Fatalf("the role %s names objects, which this test does not know", role.Name)
		}
		for _, verb := range rule.Verbs {
			for _, url := range rule.NonResourceURLs {
				atoms = append(atoms, atom{verb: verb, url: url})
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					atoms = append(atoms, atom{verb: verb, group: group, resource: resource})
				}
			}
		}
	}
	return atoms
}

// A deployment is one of the folders under deploy/ applied to a cluster.
type deployment struct {
	t        *testing.T
	cluster  *cluster
	manifest string
	roles    []rbacv1.ClusterRole
	atoms    []atom
	// subject is the service account that has the permissions.
	subject account
}

// deploy renders a folder and applies it as it is, for the duration of the test.
func (c *cluster) deploy(t *testing.T, folder string, subject account) *deployment {
	t.Helper()
	d := &deployment{t: t, cluster: c, subject: subject}
	d.manifest = c.kubectl(t, "", "kustomize", filepath.Join(deployFolder(t), folder))
	var revocable []string
	for _, document := range strings.Split(d.manifest, "\n---\n") {
		var object struct{ Kind string }
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		switch object.Kind {
		case "ClusterRole":
			var role rbacv1.ClusterRole
			if err := yaml.UnmarshalStrict([]byte(document), &role); err != nil {
				t.Fatal(err)
			}
			d.roles = append(d.roles, role)
			d.atoms = append(d.atoms, atomsOf(t, role)...)
		case "Namespace", "ServiceAccount":
			continue // the next test needs them again, and a namespace would not go
		case "ClusterRoleBinding", "Secret":
		case "Role", "RoleBinding": // to make tokens, which TestReviewerMakesItsTokens is about
		default:
			t.Fatalf("%s has an object of kind %q, of which this test does not know what it permits", folder, object.Kind)
		}
		revocable = append(revocable, document)
	}
	c.kubectl(t, d.manifest, "apply", "-f", "-")
	t.Cleanup(func() { c.kubectl(t, strings.Join(revocable, "\n---\n"), "delete", "-f", "-") })
	d.await(func(atom) bool { return true })
	return d
}

// grant leaves of the permissions those that keep says.
func (d *deployment) grant(keep func(atom) bool) {
	d.t.Helper()
	for _, role := range d.roles {
		var rules []rbacv1.PolicyRule
		for _, a := range atomsOf(d.t, role) {
			if keep(a) {
				rules = append(rules, a.rule())
			}
		}
		role.Rules = rules
		text, err := yaml.Marshal(role)
		if err != nil {
			d.t.Fatal(err)
		}
		d.cluster.kubectl(d.t, string(text), "apply", "-f", "-")
	}
	d.await(keep)
}

// await waits until the API server has noticed which permissions there are.
func (d *deployment) await(allowed func(atom) bool) {
	d.t.Helper()
	for _, a := range d.atoms {
		await(d.t, "permission to "+a.String()+" to be as it was applied", func() (bool, error) {
			is, err := d.cluster.may(d.t.Context(), d.subject, a)
			return is == allowed(a), err
		})
	}
}

// may asks the API server whether a service account has a permission.
func (c *cluster) may(ctx context.Context, who account, a atom) (bool, error) {
	spec := authzv1.SubjectAccessReviewSpec{
		User:   "system:serviceaccount:" + who.namespace + ":" + who.name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + who.namespace, "system:authenticated"},
	}
	if a.url != "" {
		spec.NonResourceAttributes = &authzv1.NonResourceAttributes{Verb: a.verb, Path: a.url}
	} else {
		spec.ResourceAttributes = &authzv1.ResourceAttributes{Verb: a.verb, Group: a.group, Resource: a.resource}
	}
	review, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authzv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	return err == nil && review.Status.Allowed, err
}

// kubectl runs a command against the cluster and returns what it prints.
func (c *cluster) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bed.Tools.Kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.KubeconfigPath, "KUBECACHEDIR="+filepath.Join(bed.Dir, "kubectl-cache"))
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

func deployFolder(t *testing.T) string {
	t.Helper()
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "deploy")
}

// except and only are choices for grant.
func except(left atom) func(atom) bool { return func(a atom) bool { return a != left } }

func only(names []string) func(atom) bool {
	return func(a atom) bool { return slices.Contains(names, a.String()) }
}
