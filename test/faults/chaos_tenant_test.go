package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vault-plugin-auth-kubernetes/test/chaos"
)

// tenants are service accounts, with tokens of the real cluster and objects of the test's.
type tenants struct {
	tokens  map[string]string // by account
	objects map[string][]byte
}

// newTenants has an account with the largest object that Kubernetes stores, one with a
// small one, and a victim.
func newTenants(t *testing.T) *tenants {
	t.Helper()
	annotation := strings.Repeat("abcdefghij ", 1<<18/11-10) // all annotations together may have 256 KiB
	labels := map[string]string{}
	for n := range 7000 { // and etcd takes a megabyte and a half
		labels[fmt.Sprintf("label-%05d-%s", n, strings.Repeat("x", 40))] = strings.Repeat("y", 60)
	}
	tn := &tenants{tokens: map[string]string{}, objects: map[string][]byte{}}
	for name, meta := range map[string]metav1.ObjectMeta{
		"large":  {Annotations: map[string]string{"text": annotation}, Labels: labels},
		"small":  {Annotations: map[string]string{"text": "abcdefghij"}},
		"victim": {Annotations: map[string]string{"text": "abcdefghij"}},
	} {
		account, err := kube.client.CoreV1().ServiceAccounts(kube.namespace).
			Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if tn.tokens[name], err = kube.token(t.Context(), account.Name, audience); err != nil {
			t.Fatal(err)
		}
		meta.Name, meta.Namespace, meta.UID = account.Name, account.Namespace, account.UID
		account.ObjectMeta = meta
		account.APIVersion, account.Kind = "v1", "ServiceAccount"
		if tn.objects[account.Name], err = json.Marshal(account); err != nil {
			t.Fatal(err)
		}
		tn.objects[tn.tokens[name]] = []byte(account.Name + "/" + string(account.UID)) // whose a token is
	}
	return tn
}

// serve answers as the API server that has these accounts.
func (tn *tenants) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		object, ok := tn.objects[path.Base(r.URL.Path)]
		if !ok {
			saysStatus(http.StatusNotFound, "NotFound", "not found")(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(object)
		return
	}
	answerReview(w, r, func(review *authv1.TokenReview) {
		name, uid, _ := strings.Cut(string(tn.objects[review.Spec.Token]), "/")
		review.Status = authv1.TokenReviewStatus{
			Authenticated: name != "", Audiences: review.Spec.Audiences,
			User: authv1.UserInfo{Username: "system:serviceaccount:" + kube.namespace + ":" + name, UID: uid},
		}
	})
}

// TestTenantWithALargeObject floods a mount with 200 rules that match on a tenant's text, and
// looks at what others wait, on that mount and on another, beside the same flood from an
// account with a small object. Vault's own method has no rules; it reads the object for
// the alias.
func TestTenantWithALargeObject(t *testing.T) {
	onlyLong(t)
	const flooding = 48
	lasting := bounded(15 * time.Second)
	v := newVault(t, nil)
	tn := newTenants(t)
	everybody := fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": audience, "token_type": "batch"}
	b := newTable(t, "tenant", lasting, chaos.Column{Title: "logins of the flood"}, chaos.Column{Title: "slowest of them, ms"}, chaos.Column{Title: "failed"},
		chaos.Column{Title: "on the same mount: p99 ms", Decimals: 1}, chaos.Column{Title: "on another mount: p99 ms", Decimals: 1})
	const deadline = 5 * time.Second
	for i, method := range methods {
		api := newServer(t, tn.serve, false)
		flooded := newMountAt(t, v.Addr, v.RootToken, method, named(method, i)+"-flooded", api,
			fields{"request_timeout": int(deadline.Seconds()), "use_annotations_as_alias_metadata": true})
		beside := newMountAt(t, v.Addr, v.RootToken, method, named(method, i)+"-beside", newServer(t, tn.serve, false))
		for _, m := range []mount{flooded, beside} {
			m.must(t, http.MethodPost, "auth/"+m.path+"/role/"+roleName, everybody)
		}
		role := roleName
		if method == ours {
			role = ""
			flooded.writeRules(t, 200)
		}
		p99 := map[string][2]time.Duration{}
		for _, who := range []string{"small", "large"} {
			same := newCrowd(t, flooded, 2, 100*time.Millisecond, role, tn.tokens["victim"])
			other := newCrowd(t, beside, 2, 100*time.Millisecond, roleName, tn.tokens["victim"])
			flood := newCrowd(t, flooded, flooding, 100*time.Millisecond, role, tn.tokens[who])
			wait(t.Context(), 3*time.Second) // to its usual pace
			from := time.Now()
			wait(t.Context(), lasting)
			to := time.Now()
			all := []outcomes{flood.finish().between(from, to), same.finish().between(from, to), other.finish().between(from, to)}
			for _, c := range []*crowd{flood, same, other} {
				c.gone()
			}
			p99[who] = [2]time.Duration{all[1].p99(), all[2].p99()}
			b.add("a flood from an account with a "+who+" object", method, float64(all[0].allowed()), ms(all[0].slowest()),
				float64(all[0].refused()), ms(p99[who][0]), ms(p99[who][1]))
			if method != ours {
				continue
			}
			if all[1].refused()+all[2].refused() > 0 || all[0].slowest() > 2*deadline+100*time.Millisecond {
				t.Errorf("%s: victims were refused %v and %v; the slowest of the flood took %v", who, all[1].statuses(), all[2].statuses(), all[0].slowest())
			}
		}
		small, large := p99["small"], p99["large"]
		if method == ours && (large[0] > 3*small[0] || large[1] > 2*small[1]) {
			t.Errorf("the p99 of victims is %v on the same mount and %v on another; under the flood from a small account %v and %v", large[0], large[1], small[0], small[1])
		}
	}
	b.keep(t)
}

// writeRules writes rules that match on text, and one that lets everybody in.
func (m mount) writeRules(t *testing.T, n int) {
	t.Helper()
	rule := func(name, selector string) {
		m.must(t, http.MethodPost, "auth/"+m.path+"/binding-rule/"+name, fields{"selector": selector, "bind_type": "policy", "bind_name": name})
	}
	for i := range n {
		rule(fmt.Sprintf("text-%03d", i), fmt.Sprintf(`serviceaccount.annotations.text matches "(a|b)+[c-z]*%d$"`, i))
	}
	rule("everybody", fmt.Sprintf("serviceaccount.namespace == %q", kube.namespace))
}
