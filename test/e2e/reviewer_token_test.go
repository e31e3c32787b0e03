package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authzv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestReviewerMakesItsTokens has a mount make its reviewer's tokens at a real API server: with
// the permission withdrawn and given back, and the service account deleted and made anew.
func TestReviewerMakesItsTokens(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	reviewer, first, err := c.makeReviewer(t.Context(), canReview, canGetServiceAccounts)
	if err != nil {
		t.Fatal(err)
	}
	m, app := newMount(t, testbed.PluginName, bed.PluginVersion), c.newAccount(t, "", "app", nil)
	logIn := func(want int) {
		t.Helper()
		if got := m.login(t, fields{"role": "app", "jwt": c.newToken(t, app, audience)}); got.Status != want {
			t.Fatalf("login: %v, want %d", got, want)
		}
	}
	check := func(name, want string) {
		t.Helper()
		if text := fmt.Sprint(m.must(t, http.MethodGet, "check", nil).data()[name]); !strings.HasPrefix(text, want) {
			t.Errorf("%s is %q, want %q", name, text, want)
		}
	}
	rotate := func(want int, words string) {
		t.Helper()
		if got := m.send(t, http.MethodPost, "config/rotate-reviewer", nil); got.Status != want || !strings.Contains(got.String(), words) {
			t.Fatalf("config/rotate-reviewer: %v, want %d with %q", got, want, words)
		}
	}
	name := reviewer.namespace + "/" + reviewer.name
	got := m.must(t, http.MethodPost, "config", with(c.config(), fields{
		"token_reviewer_jwt": first, "token_reviewer_service_account": name, "token_reviewer_ttl": 600,
	}))
	if !strings.Contains(fmt.Sprint(got.warnings()), "could not be replaced") {
		t.Errorf("without the permission: %v", got)
	}
	m.must(t, http.MethodPost, "role/app", bound(app, nil))
	logIn(http.StatusOK)
	check("reviewer_token", "warn: the first token")
	check("permission_reviewer_token", "fail: the reviewer may not create serviceaccounts/token of "+name)

	c.letMakeTokens(t, reviewer, true)
	rotate(http.StatusOK, name)
	if read := m.must(t, http.MethodGet, "config", nil).data(); read["token_reviewer_jwt_set"] != false {
		t.Errorf("the first token is kept: %v", read)
	}
	logIn(http.StatusOK)
	check("reviewer_token", "pass: the token of "+name+" ends at")
	check("permission_reviewer_token", "pass")
	rotate(http.StatusOK, name)
	logIn(http.StatusOK)

	// By hand, time and again, with pods that log in and two who write the configuration, one of
	// whom names the first token again.
	jwt, done := c.newToken(t, app, audience), make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for {
				if a := m.login(t, fields{"role": "app", "jwt": jwt}); a.Status != http.StatusOK {
					t.Errorf("a login while the token is replaced: %v", a)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for _, token := range []any{first, nil} {
		others.Go(func() {
			if a := m.send(t, http.MethodPost, "config", with(c.config(), fields{"token_reviewer_jwt": token})); a.Status != http.StatusNoContent {
				t.Errorf("a write of the configuration while the token is replaced: %v", a)
			}
		})
	}
	for range 20 {
		rotate(http.StatusOK, name)
	}
	close(done)
	others.Wait()
	if read := m.must(t, http.MethodGet, "config", nil).data(); read["token_reviewer_jwt_set"] != false {
		t.Errorf("the first token came back: %v", read)
	}

	c.letMakeTokens(t, reviewer, false)
	rotate(http.StatusServiceUnavailable, "forbidden")
	logIn(http.StatusOK)
	check("permission_reviewer_token", "fail")
	c.letMakeTokens(t, reviewer, true)
	rotate(http.StatusOK, name)
	logIn(http.StatusOK)

	// Two writes of the configuration, one that names the first token again, and one that does not.
	m.must(t, http.MethodPost, "config", with(c.config(), fields{"token_reviewer_jwt": first}))
	m.must(t, http.MethodPost, "config", with(c.config(), fields{"token_reviewer_jwt": nil}))
	logIn(http.StatusOK)

	c.deleteAccount(t, reviewer)
	if _, err := c.makeAccount(t.Context(), reviewer.namespace, reviewer.name, nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the API server to reject the old token", func() (bool, error) {
		return m.login(t, fields{"role": "app", "jwt": c.newToken(t, app, audience)}).Status == http.StatusForbidden, nil
	})
	// kube-apiserver ends the connection of each request that it does not know, and what is
	// under way on it fails with it.
	await(t, "check to see that", func() (bool, error) {
		text := fmt.Sprint(m.must(t, http.MethodGet, "check", nil).data()["reviewer"])
		return strings.HasPrefix(text, "fail: the API server rejects the credential (401 Unauthorized)"), nil
	})
	rotate(http.StatusServiceUnavailable, "unauthorized")
	remedy, _ := m.must(t, http.MethodGet, "check", nil).data()["reviewer_remedy"].(string)
	secret("first token", string(sure(os.ReadFile(filepath.Join(paste(t, remedy), "reviewer.jwt")))))
	logIn(http.StatusOK)
	check("reviewer", "pass")
	check("reviewer_token", "pass")
}

// letMakeTokens gives a service account the permission to make tokens of itself, or takes it
// away, and waits until the API server has noticed.
func (c *cluster) letMakeTokens(t *testing.T, a account, may bool) {
	t.Helper()
	const name = "reviewer-token"
	rbac := c.client.RbacV1()
	var err error
	if may {
		_, err = rbac.Roles(a.namespace).Create(t.Context(), &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{a.name}, Verbs: []string{"create"}}},
		}, metav1.CreateOptions{})
		if err == nil {
			_, err = rbac.RoleBindings(a.namespace).Create(t.Context(), &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
				Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: a.namespace, Name: a.name}},
			}, metav1.CreateOptions{})
		}
	} else if err = rbac.RoleBindings(a.namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err == nil {
		err = rbac.Roles(a.namespace).Delete(t.Context(), name, metav1.DeleteOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	await(t, fmt.Sprintf("the permission to be %t", may), func() (bool, error) {
		review, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authzv1.SubjectAccessReview{
			Spec: authzv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + a.namespace + ":" + a.name,
				ResourceAttributes: &authzv1.ResourceAttributes{Resource: "serviceaccounts", Subresource: "token", Verb: "create", Namespace: a.namespace, Name: a.name},
			},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed == may, err
	})
}
