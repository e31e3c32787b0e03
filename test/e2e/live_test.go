package e2e

import (
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"vault-plugin-auth-kubernetes/test/testbed"
)

var (
	liveHistories = flag.Int("live-histories", 6, "how many histories of a cluster verification=live goes through")
	liveFirst     = flag.Uint64("live-first", 0, "the number of the first of them")
	liveDeletions = flag.Int("live-deletions", 3, "how many pods, and how many service accounts, are deleted to see when live refuses them")
)

// staleness is the default of live_staleness.
const staleness = 10 * time.Second

// What verification=live may, beside what a reviewer may anyway.
var canFollow = []permission{
	{"", "pods", "list"}, {"", "pods", "watch"},
	{"", "serviceaccounts", "list"}, {"", "serviceaccounts", "watch"},
}

// newLiveMount follows the cluster, and lets in every service account.
func newLiveMount(t *testing.T, c *cluster) (m mount, reviewer account) {
	t.Helper()
	reviewer, token := c.newReviewer(t, append([]permission{canReview}, canFollow...)...)
	m = newMount(t, testbed.PluginName, bed.PluginVersion)
	m.must(t, http.MethodPost, "config", with(c.config(), fields{"token_reviewer_jwt": token, "verification": "live"}))
	m.must(t, http.MethodPost, "role/app", fields{
		"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": audience, "token_type": "batch",
	})
	return m, reviewer
}

// verifiedBy is by what a login was verified, or "" if it was refused.
func (m mount) verifiedBy(t *testing.T, jwt string) string {
	t.Helper()
	got := m.login(t, fields{"role": "app", "jwt": jwt})
	switch got.Status {
	case http.StatusOK:
		by, _ := got.auth()["metadata"].(fields)["verified_by"].(string)
		return by
	case http.StatusForbidden:
		return ""
	}
	t.Fatalf("a login is neither allowed nor denied: %v", got)
	return ""
}

func (m mount) awaitLive(t *testing.T, jwt string) {
	t.Helper()
	await(t, "the cluster to be followed", func() (bool, error) { return m.verifiedBy(t, jwt) == "live", nil })
}

// issued is a token of the real API server, and what is known of it.
type issued struct {
	jwt    string
	claims fields    // of another token that is good as long as this is
	yes    time.Time // when the API server was asked that said yes to it last
}

// life is the part of a cluster that one history is about: a service account, its pods and
// their tokens.
type life struct {
	t       *testing.T
	c       *cluster
	m       mount
	random  *mathrand.Rand
	account account
	gone    bool     // the account
	pods    []string // names
	tokens  []*issued
	said    []string
	by      map[string]int
}

// The twin of a real API server: live says yes by itself only to whom that says yes, or did
// within live_staleness. In test/faults it loses the API server, too.
func TestLiveIsTheTwinOfTheAPIServer(t *testing.T) {
	c := mainCluster(t)
	m, _ := newLiveMount(t, c)
	first, _ := c.newPodToken(t, c.newAccount(t, "", "app", nil))
	m.awaitLive(t, first)
	by := map[string]int{}
	for n := range uint64(*liveHistories) {
		l := &life{t: t, c: c, m: m, account: c.newAccount(t, "", "app", nil), by: by,
			random: mathrand.New(mathrand.NewPCG(*liveFirst+n, 17))}
		if err := l.play(); err != nil {
			t.Fatalf("history %d: %v\n%q", *liveFirst+n, err, l.said)
		}
	}
	t.Log(by)
	if by["live"] == 0 || by["refused"] == 0 {
		t.Error("live never said yes, or never no: this has shown nothing")
	}
}

// play has eight things happen, and at last everything be deleted.
func (l *life) play() error {
	l.newPod()
	for range 8 {
		what := []func(){
			l.newPod, l.newPod, l.unbound, l.deletePod, l.beginPodDeletion, l.endPodDeletion, l.deleteAccount, l.recreateAccount,
		}
		l.judge()
		what[l.random.IntN(len(what))]()
		for range 3 {
			if err := l.logIn(l.tokens[l.random.IntN(len(l.tokens))]); err != nil {
				return err
			}
		}
	}
	l.judge()
	l.deleteAccount()
	return l.awaitRefusals()
}

func (l *life) say(format string, args ...any) { l.said = append(l.said, fmt.Sprintf(format, args...)) }

func (l *life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// newPod makes a pod and a token that is bound to it; of some pods the deletion takes a while.
func (l *life) newPod() {
	if l.gone {
		return
	}
	jwt, pod := l.c.newPodToken(l.t, l.account)
	l.say("pod %s with a token", pod)
	if l.random.IntN(2) == 0 {
		l.patchFinalizers(pod, `["test/hold"]`)
	}
	l.pods = append(l.pods, pod)
	claims := l.c.claims(l.account)
	claims["kubernetes.io"].(fields)["pod"] = fields{"name": pod, "uid": l.c.podUID(l.t, l.account, pod)}
	l.tokens = append(l.tokens, &issued{jwt: jwt, claims: claims, yes: time.Now()})
}

func (l *life) unbound() {
	if l.gone {
		return
	}
	l.say("a token that is bound to nothing")
	l.tokens = append(l.tokens, &issued{jwt: l.c.newToken(l.t, l.account, audience), claims: l.c.claims(l.account), yes: time.Now()})
}

func (l *life) patchFinalizers(pod, list string) {
	_, err := l.c.client.CoreV1().Pods(l.account.namespace).Patch(l.t.Context(), pod, types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":`+list+`}}`), metav1.PatchOptions{})
	l.must(err)
}

// deletePod ends a pod, at once unless something holds it.
func (l *life) deletePod() {
	if len(l.pods) > 0 {
		l.remove(l.pods[0], 0)
	}
}

// beginPodDeletion gives the last pod its usual time, in which its tokens stay good.
func (l *life) beginPodDeletion() {
	if len(l.pods) > 0 {
		l.remove(l.pods[len(l.pods)-1], 30)
	}
}

func (l *life) remove(pod string, grace int64) {
	l.say("pod %s deleted, %d s of grace", pod, grace)
	err := l.c.client.CoreV1().Pods(l.account.namespace).Delete(l.t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: &grace})
	if !apierrors.IsNotFound(err) { // it may have gone with what held it
		l.must(err)
	}
	_, err = l.c.client.CoreV1().Pods(l.account.namespace).Get(l.t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		l.pods = slices.DeleteFunc(l.pods, func(p string) bool { return p == pod })
	}
}

// endPodDeletion lets a pod go whose deletion was held.
func (l *life) endPodDeletion() {
	if len(l.pods) > 0 {
		l.patchFinalizers(l.pods[0], "null")
		l.deletePod()
	}
}

func (l *life) deleteAccount() {
	if !l.gone {
		l.say("account deleted")
		l.must(l.c.client.CoreV1().ServiceAccounts(l.account.namespace).Delete(l.t.Context(), l.account.name, metav1.DeleteOptions{}))
		l.gone = true
	}
}

// recreateAccount makes another account by the same name, to which the tokens of the one
// before do not belong.
func (l *life) recreateAccount() {
	l.deleteAccount()
	l.say("account made anew")
	l.account, l.gone = l.c.newAccount(l.t, l.account.namespace, l.account.name, nil), false
	l.unbound()
}

// judge notes to which tokens the API server says yes now.
func (l *life) judge() {
	for _, token := range l.tokens {
		if at := time.Now(); l.c.saysYes(l.t, token.claims) {
			token.yes = at
		}
	}
}

// saysYes asks the API server about a token with such claims that it never saw, for it
// remembers for ten seconds those that were good.
func (c *cluster) saysYes(t *testing.T, claims fields) bool {
	t.Helper()
	claims["jti"] = rand.Text()
	review, err := c.client.AuthenticationV1().TokenReviews().Create(t.Context(), &authv1.TokenReview{
		Spec: authv1.TokenReviewSpec{Token: c.sign(t, claims), Audiences: []string{audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Authenticated
}

// logIn returns an error if live says yes and the rule does not allow that.
func (l *life) logIn(token *issued) error {
	at := time.Now()
	by := l.m.verifiedBy(l.t, token.jwt)
	if by == "" {
		by = "refused"
	}
	l.by[by]++
	if by != "live" {
		return nil
	}
	now := time.Now()
	if l.c.saysYes(l.t, token.claims) {
		token.yes = now
		return nil
	}
	if ago := at.Sub(token.yes); ago > staleness {
		return fmt.Errorf("live says yes to a token to which the API server says no, and said yes %s ago", ago)
	}
	return nil
}

// awaitRefusals logs in with all tokens of an account that is gone until all are refused,
// which a plugin that never notices would not do.
func (l *life) awaitRefusals() error {
	for _, token := range l.tokens {
		for l.m.verifiedBy(l.t, token.jwt) != "" {
			if err := l.logIn(token); err != nil {
				return err
			}
			if ago := time.Since(token.yes); ago > 3*staleness {
				return fmt.Errorf("a token is taken although its account is gone for %s", ago)
			}
		}
	}
	return nil
}

// A deletion counts as soon as the watch tells of it, and sooner than the ten seconds for
// which the API server itself remembers a token.
func TestLiveRefusesWhatWasDeleted(t *testing.T) {
	c := mainCluster(t)
	m, _ := newLiveMount(t, c)
	now := int64(0)
	for kind, remove := range map[string]func(a account, pod string) error{
		"pod": func(a account, pod string) error {
			return c.client.CoreV1().Pods(a.namespace).Delete(t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: &now})
		},
		"service account": func(a account, _ string) error {
			return c.client.CoreV1().ServiceAccounts(a.namespace).Delete(t.Context(), a.name, metav1.DeleteOptions{})
		},
	} {
		var took []time.Duration
		for range *liveDeletions {
			a := c.newAccount(t, "", "app", nil)
			jwt, pod := c.newPodToken(t, a)
			m.awaitLive(t, jwt)
			if err := remove(a, pod); err != nil {
				t.Fatal(err)
			}
			gone := time.Now()
			for m.verifiedBy(t, jwt) != "" && time.Since(gone) < staleness {
			}
			took = append(took, time.Since(gone))
		}
		slices.Sort(took)
		t.Logf("%s: refused after %s, at most %s, of %d", kind, took[len(took)/2], took[len(took)-1], len(took))
		if took[len(took)-1] >= staleness {
			t.Errorf("%s: it was let in for %s after its deletion", kind, took[len(took)-1])
		}
	}
}

// A reviewer that may no longer watch costs reviews and no logins, and one that may again
// is noticed.
func TestLiveWithoutThePermission(t *testing.T) {
	c := mainCluster(t)
	m, reviewer := newLiveMount(t, c)
	jwt, _ := c.newPodToken(t, c.newAccount(t, "", "app", nil))
	m.awaitLive(t, jwt)
	roles := c.client.RbacV1().ClusterRoles()
	role := c.roleOf(t, reviewer)
	if err := roles.Delete(t.Context(), role.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "logins to be reviewed", func() (bool, error) { return m.verifiedBy(t, jwt) == "review", nil })
	role.ObjectMeta = metav1.ObjectMeta{Name: role.Name}
	if _, err := roles.Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	m.awaitLive(t, jwt)
}
