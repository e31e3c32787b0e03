package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
)

// What is true of a reviewer's token that is asked for with the shortest life that Kubernetes
// has, ten minutes: it is replaced after four fifths of them.
const (
	reviewerTTL    = 600 // seconds
	reviewerPeriod = 8   // minutes
	reviewerLife   = 10  // minutes
	// serverLeeway is for how long an API server takes a token that has ended.
	serverLeeway = time.Minute
)

// renewals are a mount that makes its reviewer's tokens, in a Vault of its plugin's process and
// at an API server, all real, in a time that a test sets.
type renewals struct {
	mount
	t        *testing.T
	cluster  *cluster
	front    *clockFront
	reviewer account
	first    string // the token that an operator wrote
	role     account
	jwt      string // of who logs in

	mu     sync.Mutex
	logins map[int]int // by the status that they had
}

func newRenewals(t *testing.T) *renewals {
	t.Helper()
	c := mainCluster(t)
	r := &renewals{t: t, cluster: c, mount: newClockMount(t), front: newClockFront(t, c), logins: map[int]int{}}
	r.reviewer, r.first = c.newReviewer(t, canReview, canGetServiceAccounts)
	c.letMakeTokens(t, r.reviewer, true)
	r.role = c.newAccount(t, "", "app", nil)
	// Pods' tokens are renewed by the kubelet; this one is good for all of the time that passes.
	days := int64(3 * 24 * 60 * 60)
	r.jwt = sure(c.makeToken(t.Context(), r.role, authv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &days}))
	r.must(t, http.MethodPost, "clock", fields{"now": r.front.passes(0).Unix()})
	r.must(t, http.MethodPost, "config", r.config())
	r.must(t, http.MethodPost, "role/app", bound(r.role, nil))
	return r
}

// config names the first token, as Terraform does each time.
func (r *renewals) config() fields {
	return fields{
		"kubernetes_host": r.front.url, "kubernetes_ca_cert": r.front.caPEM, "disable_local_ca_jwt": true,
		"token_reviewer_jwt": r.first, "token_reviewer_service_account": r.name(), "token_reviewer_ttl": reviewerTTL,
	}
}

func (r *renewals) name() string { return r.reviewer.namespace + "/" + r.reviewer.name }

// minutes pass, in each of which Vault has the mount do its work while one pod logs in, and
// another one does after it. All of them are answered with status.
func (r *renewals) minutes(n, status int) {
	r.t.Helper()
	for range n {
		r.passes(time.Minute, status, func() { r.logIn(status) })
	}
}

// passes is some time, at whose end the mount does its work. Something may happen while it does.
func (r *renewals) passes(after time.Duration, status int, meanwhile ...func()) {
	r.t.Helper()
	now := r.front.passes(after).Unix()
	var wg sync.WaitGroup
	for _, do := range meanwhile {
		wg.Go(do)
	}
	if a := r.send(r.t, http.MethodPost, "clock", fields{"now": now}); a.Status != http.StatusNoContent {
		r.t.Errorf("the mount's work: %v", a)
	}
	wg.Wait()
	r.logIn(status)
	if r.t.Failed() {
		r.t.FailNow()
	}
}

func (r *renewals) logIn(want int) {
	r.t.Helper()
	a := r.login(r.t, fields{"role": "app", "jwt": r.jwt})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.logins[a.Status]++; a.Status != want {
		r.t.Errorf("a login is answered with %v, want %d\n%s", a, want, whyFromLog(r.mount))
	}
}

// periods are so many, with one request for a token in each, right at its end.
func (r *renewals) periods(n int) {
	r.t.Helper()
	for range n {
		asked, made, before := r.front.counts()
		for range reviewerPeriod - 1 {
			r.passes(time.Minute, http.StatusOK)
		}
		r.wantCounts("before the end of a period", asked, made)
		r.minutes(1, http.StatusOK)
		r.wantCounts("at the end of a period", asked+1, made+1)
		if _, _, after := r.front.counts(); after == before {
			r.t.Fatal("logins go on with the token of the last period")
		}
	}
}

func (r *renewals) wantCounts(when string, asked, made int) {
	r.t.Helper()
	if a, m, _ := r.front.counts(); a != asked || m != made {
		r.t.Fatalf("%s: %d tokens were asked for and %d made, want %d and %d", when, a, m, asked, made)
	}
}

// check wants a finding, and returns its remedy.
func (r *renewals) check(name, begins, has string) (remedy string) {
	r.t.Helper()
	data := r.must(r.t, http.MethodGet, "check", nil).data()
	if text := fmt.Sprint(data[name]); !strings.HasPrefix(text, begins) || !strings.Contains(text, has) {
		r.t.Fatalf("%s is %q, want %q with %q", name, text, begins, has)
	}
	remedy, _ = data[name+"_remedy"].(string)
	return remedy
}

// comesBack runs a remedy that makes a first token, after which logins are let in, a finding of
// check is no trouble any more, and so many tokens were made in all.
func (r *renewals) comesBack(remedy, finding string, made int) {
	r.t.Helper()
	r.first = secret("first token", string(sure(os.ReadFile(filepath.Join(paste(r.t, remedy), "reviewer.jwt")))))
	r.logIn(http.StatusOK)
	r.check(finding, "pass: ", "")
	if _, m, _ := r.front.counts(); m != made {
		r.t.Errorf("%d tokens were made with the first one, want %d", m, made)
	}
}

// TestReviewerRenewsFiftyTimes has seven hours pass for a mount that makes its reviewer's
// tokens, ten minutes each, in a real Vault and at a real API server: logins are let in as long
// as the API server answers and a token is good, and one token is asked for in each period.
func TestReviewerRenewsFiftyTimes(t *testing.T) {
	t.Parallel()
	r := newRenewals(t)
	r.wantCounts("with the first token", 1, 1)
	r.periods(20)
	r.serverIsDown()
	r.periods(5)
	r.permissionIsWithdrawn()
	r.periods(5)
	r.permissionIsWithdrawnForLong()
	r.periods(5)
	r.accountIsMadeAnew()
	r.periods(5)
	r.configIsWritten()
	r.periods(7)
	r.check("reviewer_token", "pass: the token of "+r.name()+" ends at", "is replaced at")
	// 47 periods that were undisturbed, and one at the end of each disturbance but the two that
	// cost the token, which a first one replaced, as in the beginning.
	const renewed, first = 47 + 3, 3
	if _, made, _ := r.front.counts(); made != renewed+first {
		t.Errorf("%d tokens were made, want %d", made, renewed+first)
	}
	t.Logf("%d renewals; logins by status: %v", renewed, r.logins)
}

// serverIsDown has the API server be away for a whole period and at its end.
func (r *renewals) serverIsDown() {
	r.t.Helper()
	asked, made, _ := r.front.counts()
	r.front.goes(true)
	for range reviewerPeriod {
		r.passes(time.Minute, http.StatusServiceUnavailable)
	}
	r.check("reviewer_token", "warn: the token of "+r.name()+" ends in ", "could not be replaced")
	r.front.goes(false)
	// Vault's own work comes first, which is what tells that the API server answers: logins may
	// be told for most of a second that it does not.
	r.passes(time.Minute, http.StatusOK)
	r.wantCounts("once the API server is back", asked+1, made+1)
}

// permissionIsWithdrawn takes the permission to make tokens away over the end of a period.
func (r *renewals) permissionIsWithdrawn() {
	r.t.Helper()
	asked, made, _ := r.front.counts()
	r.cluster.letMakeTokens(r.t, r.reviewer, false)
	r.minutes(reviewerPeriod, http.StatusOK)
	r.wantCounts("without the permission", asked+1, made)
	r.check("reviewer_token", "warn: the token of "+r.name()+" ends in 2m", "could not be replaced: ")
	r.check("permission_reviewer_token", "fail: the reviewer may not create serviceaccounts/token of "+r.name(), "")
	r.cluster.letMakeTokens(r.t, r.reviewer, true)
	r.minutes(1, http.StatusOK)
	r.wantCounts("with the permission again", asked+2, made+1)
}

// permissionIsWithdrawnForLong takes it away until the token has ended, and comes back by what
// check says.
func (r *renewals) permissionIsWithdrawnForLong() {
	r.t.Helper()
	_, made, _ := r.front.counts()
	r.cluster.letMakeTokens(r.t, r.reviewer, false)
	r.minutes(reviewerLife, http.StatusOK)
	r.passes(2*serverLeeway, http.StatusForbidden)
	remedy := r.check("reviewer_token", "fail: the token of "+r.name()+" ended at ", "could not be replaced: ")
	r.cluster.letMakeTokens(r.t, r.reviewer, true)
	r.comesBack(remedy, "reviewer_token", made+1)
}

// accountIsMadeAnew deletes the reviewer's service account and makes another one of its name:
// the token is void at once, and what check says brings the mount back.
func (r *renewals) accountIsMadeAnew() {
	r.t.Helper()
	_, made, _ := r.front.counts()
	r.cluster.deleteAccount(r.t, r.reviewer)
	if _, err := r.cluster.makeAccount(r.t.Context(), r.reviewer.namespace, r.reviewer.name, nil); err != nil {
		r.t.Fatal(err)
	}
	r.minutes(3, http.StatusForbidden)
	remedy := r.check("reviewer", "fail: the API server rejects the credential (401 Unauthorized)",
		"its service account "+r.name()+" was deleted or created anew")
	r.comesBack(remedy, "reviewer", made+1)
}

// configIsWritten writes the configuration twice while the token is replaced, once with the
// first token again and once without.
func (r *renewals) configIsWritten() {
	r.t.Helper()
	asked, made, _ := r.front.counts()
	r.minutes(reviewerPeriod-1, http.StatusOK)
	write := func(config fields) func() {
		return func() {
			if a := r.send(r.t, http.MethodPost, "config", config); a.Status >= http.StatusBadRequest || len(a.warnings()) > 0 {
				r.t.Errorf("a write of the configuration: %v", a)
			}
		}
	}
	r.passes(time.Minute, http.StatusOK, write(r.config()), write(with(r.config(), fields{"token_reviewer_jwt": nil})), func() { r.logIn(http.StatusOK) })
	r.wantCounts("with two writes of the configuration meanwhile", asked+1, made+1)
}
