package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"vault-plugin-auth-kubernetes/test/testbed"
)

const serviceNameAnnotation = "consul.hashicorp.com/service-name"

// newRuleMount is a mount of this plugin with rules, by name: selector, bind type,
// bind name.
func newRuleMount(t *testing.T, rules map[string][3]string) mount {
	t.Helper()
	m := newMount(t, testbed.PluginName, bed.PluginVersion)
	m.must(t, http.MethodPost, "config", with(mainCluster(t).config(), fields{"service_name_annotation": serviceNameAnnotation, "binding_rule_audiences": audience}))
	for name, rule := range rules {
		m.must(t, http.MethodPost, "binding-rule/"+name, fields{"selector": cmp.Or(rule[0], "*"), "bind_type": rule[1], "bind_name": rule[2]})
	}
	return m
}

// TestFiftyAccountsWithoutARole is what rules are for: 50 service accounts in 10
// namespaces, three rules, no role.
func TestFiftyAccountsWithoutARole(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	var namespaces []string
	for i := range 10 {
		namespaces = append(namespaces, c.newNamespace(t, map[string]string{"even": fmt.Sprint(i%2 == 0)}))
	}
	m := newRuleMount(t, map[string][3]string{
		"all":   {"", "policy", "all"},
		"own":   {`serviceaccount.name != "a0"`, "policy", "${serviceaccount.namespace}-${serviceaccount.name}"},
		"label": {`namespace.labels.even == "true"`, "policy", "even"},
	})
	for i, namespace := range namespaces {
		for j := range 5 {
			a := c.newAccount(t, namespace, fmt.Sprint("a", j), nil)
			want := []string{"all", "default"}
			if j != 0 {
				want = append(want, namespace+"-"+a.name)
			}
			if i%2 == 0 {
				want = append(want, "even")
			}
			got := m.login(t, fields{"jwt": c.newToken(t, a, "vault")})
			if got.Status != http.StatusOK || !slices.Equal(sorted(stringsOf(got.auth()["policies"])), sorted(want)) {
				t.Errorf("%s/%s: %v, want the policies %q", namespace, a.name, got, want)
			}
		}
	}
}

// TestClusterChangesNeverWidenARole annotates, labels and renames what somebody
// who may do so in the cluster can, and looks at what logins under a role get.
func TestClusterChangesNeverWidenARole(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	m := newRuleMount(t, map[string][3]string{"all": {"", "policy", "by-rule"}})
	own := c.newAccount(t, "", "web", nil)
	other := c.newAccount(t, "", "evil", nil)
	m.must(t, http.MethodPost, "role/web", fields{
		"bound_service_account_names": "web", "bound_service_account_namespaces": own.namespace, "token_policies": "web", "audience": "vault",
	})
	m.must(t, http.MethodPost, "role/selector", fields{
		"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "token_policies": "selected", "audience": "vault",
		"selector": fmt.Sprintf(`serviceaccount.name == "web" and serviceaccount.namespace == %q`, own.namespace),
	})
	before := m.login(t, fields{"role": "web", "jwt": c.newToken(t, own, "vault")}).auth()

	patch := func(t *testing.T, a account, metadata fields) {
		t.Helper()
		body, err := json.Marshal(fields{"metadata": metadata})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.client.CoreV1().ServiceAccounts(a.namespace).Patch(t.Context(), a.name, types.MergePatchType, body, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.client.CoreV1().Namespaces().Patch(t.Context(), a.namespace, types.MergePatchType, body, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	all := fields{serviceNameAnnotation: "web", "vault.hashicorp.com/alias-metadata-role": "web", "serviceaccount.name": "web"}
	for name, change := range map[string]func(t *testing.T){
		"annotations of the other": func(t *testing.T) { patch(t, other, fields{"annotations": all}) },
		"labels of the other": func(t *testing.T) {
			patch(t, other, fields{"labels": fields{"name": "web", "serviceaccount.name": "web"}})
		},
		"annotations of the account": func(t *testing.T) { patch(t, own, fields{"annotations": fields{serviceNameAnnotation: "admin"}}) },
		"namesake in another namespace": func(t *testing.T) {
			namesake := c.newAccount(t, other.namespace, "web", nil)
			for _, role := range []string{"web", "selector"} {
				if got := m.login(t, fields{"role": role, "jwt": c.newToken(t, namesake, "vault")}); got.Status != http.StatusForbidden {
					t.Errorf("the namesake under %s: %v", role, got)
				}
			}
		},
		"pod named like the account": func(t *testing.T) {
			_, err := c.client.CoreV1().Pods(other.namespace).Create(t.Context(), &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "web"},
				Spec:       corev1.PodSpec{ServiceAccountName: other.name, Containers: []corev1.Container{{Name: "c", Image: "none"}}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			change(t)
			for _, role := range []string{"web", "selector"} {
				if got := m.login(t, fields{"role": role, "jwt": c.newToken(t, other, "vault")}); got.Status != http.StatusForbidden {
					t.Errorf("the other account under %s: %v", role, got)
				}
			}
			after := m.login(t, fields{"role": "web", "jwt": c.newToken(t, own, "vault")}).auth()
			for _, key := range []string{"policies", "metadata", "entity_id", "lease_duration"} {
				was, is := before[key], after[key]
				if key == "metadata" {
					was, is = withoutCredentialID(t, was), withoutCredentialID(t, is)
				}
				if !reflect.DeepEqual(was, is) {
					t.Errorf("%s of the account itself was %v and is %v", key, was, is)
				}
			}
		})
	}
}
