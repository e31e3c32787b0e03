package faults

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// staleness is the default of live_staleness.
const staleness = 10 * time.Second

// newPodToken is a token bound to a new pod, as verification=live judges it, and the name of
// the pod.
func (c *cluster) newPodToken(t testing.TB) (jwt, name string) {
	t.Helper()
	pod, err := c.client.CoreV1().Pods(c.namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "app-"},
		Spec:       corev1.PodSpec{ServiceAccountName: c.account, Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request, err := c.client.CoreV1().ServiceAccounts(c.namespace).CreateToken(t.Context(), c.account, &authv1.TokenRequest{
		Spec: authv1.TokenRequestSpec{
			Audiences:      []string{audience},
			BoundObjectRef: &authv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token, pod.Name
}

// letFollow gives the reviewer what verification=live needs.
func (c *cluster) letFollow(t testing.TB) {
	t.Helper()
	name := c.namespace + "-live"
	rbac := c.client.RbacV1()
	_, err := rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods", "serviceaccounts"}, Verbs: []string{"list", "watch"}}},
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: c.namespace, Name: "reviewer"}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// verifiedBy is by what a login was verified; "" unless it was allowed.
func (a answer) verifiedBy() string {
	var body struct {
		Auth struct {
			Metadata map[string]string `json:"metadata"`
		} `json:"auth"`
	}
	if a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &body) != nil {
		return ""
	}
	return body.Auth.Metadata["verified_by"]
}

// TestLiveOutage takes the API server away from a mount that follows it: logins go on for
// as long as what is known is young enough, then they are 503 and no denial, and once it is
// back they are allowed again. A connection that goes silent is noticed as well.
func TestLiveOutage(t *testing.T) {
	kube.letFollow(t)
	api, m := newProxy(t, kube.Host), newMount(t)
	m.configure(t, api.url, kube.CAPEM, fields{"verification": "live"})
	jwt, _ := kube.newPodToken(t)
	followed := func() bool { return m.login(t, jwt).verifiedBy() == "live" }
	await(t, "the cluster to be followed", followed)

	rounds := scaled(1, 2, 10)
	for range rounds {
		api.Stop()
		gone := time.Now()
		if got := m.login(t, jwt); got.verifiedBy() != "live" {
			t.Fatalf("right after the API server went: %v", got)
		}
		var refused answer
		await(t, "a refusal", func() bool { refused = m.login(t, jwt); return refused.status != http.StatusOK })
		lasted := time.Since(gone)
		if refused.status != http.StatusServiceUnavailable {
			t.Errorf("after %v: %v, want a 503", lasted, refused)
		}
		if lasted > allowed(t, staleness+2*time.Second) {
			t.Errorf("logins went on for %v, and live_staleness is %v", lasted, staleness)
		}
		if err := api.Start(); err != nil {
			t.Fatal(err)
		}
		returned := time.Now()
		await(t, "a login", func() bool { return m.login(t, jwt).status == http.StatusOK })
		back := time.Since(returned)
		if back > allowed(t, 2*time.Second) {
			t.Errorf("the first login came %v after the API server", back)
		}
		await(t, "the cluster to be followed again", followed)
		t.Logf("logins went on for %v and were back after %v, by live after %v", lasted, back, time.Since(returned))
	}

	// A watch that says nothing is no proof, however long it stays open: what happens while
	// it is silent is known in time, be it by another watch or by a review.
	doomed, name := kube.newPodToken(t)
	await(t, "the new pod to be known", func() bool { return m.login(t, doomed).verifiedBy() == "live" })
	api.silence(t)
	silent := time.Now()
	now := int64(0)
	if err := kube.client.CoreV1().Pods(kube.namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	await(t, "the deletion to be known", func() bool { return m.login(t, doomed).verifiedBy() != "live" })
	if lasted := time.Since(silent); lasted > allowed(t, staleness+2*time.Second) {
		t.Errorf("a silent watch counted for %v", lasted)
	}
	await(t, "the cluster to be followed again", followed)
}
