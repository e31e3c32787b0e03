package main

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// newTwoTokens is a mount without a reviewer, whose clients may ask: the account web has the
// pods web-1 and web-2, and db, somebody else's, may ask as well.
func newTwoTokens(t *testing.T, config, role fields) *mount {
	t.Helper()
	all := fields{"token_reviewer_jwt": nil}
	maps.Copy(all, config)
	m := newDemo(t, all, role)
	m.api.AddServiceAccount("apps", "db")
	m.api.AddPod("apps", "web-1", "node-1")
	m.api.AddPod("apps", "web-2", "node-1")
	m.api.Grant("apps", "web", kubetest.TokenReviews)
	m.api.Grant("apps", "db", kubetest.TokenReviews)
	m.api.Forget()
	return m
}

// second is a token of the pod web-1 that the API server takes for a credential.
func (m *mount) second(changes ...kubetest.Change) string {
	return m.api.Token("apps", "web", append([]kubetest.Change{kubetest.Audience(m.api.Issuer), m.api.BoundToPod("web-1")}, changes...)...)
}

func (m *mount) loginWithTwo(jwt, second string) outcome {
	m.t.Helper()
	return m.do(logical.UpdateOperation, "login", fields{"role": "demo", "jwt": jwt, "reviewer_jwt": second})
}

// wantAskedBy checks whose credential all requests had, and how many there were.
func (m *mount) wantAskedBy(bearer string, count int) {
	m.t.Helper()
	requests := m.api.Requests()
	if len(requests) != count {
		m.t.Errorf("%d requests, want %d", len(requests), count)
	}
	for _, r := range requests {
		if r.Bearer != bearer {
			m.t.Errorf("%s %s had another credential", r.Method, r.Path)
		}
	}
	m.api.Forget()
}

// Who may do what: each row is a login with a narrow token and a second one.
func TestTwoTokens(t *testing.T) {
	elsewhere := kubetest.Unserved()
	elsewhere.AddServiceAccount("apps", "web")
	for name, row := range map[string]struct {
		first    func(m *mount) string // by default bound to web-1, for vault alone
		second   func(m *mount) string
		before   func(m *mount)
		ok       bool
		requests int
		step     string
	}{
		"of the same pod":      {second: func(m *mount) string { return m.second() }, ok: true, requests: 2},
		"with space around it": {second: func(m *mount) string { return " " + m.second() + "\n" }, ok: true, requests: 2},
		"none":                 {second: func(*mount) string { return "" }, requests: 1, step: "token review"},
		"of a first that is bound to no pod": {
			first: func(m *mount) string { return m.token() }, second: func(m *mount) string { return m.second() }, ok: true, requests: 2,
		},
		"that may not ask": {
			before: func(m *mount) { m.api.Revoke("apps", "web", kubetest.TokenReviews) },
			second: func(m *mount) string { return m.second() }, requests: 1, step: "token review",
		},
		"of another pod": {
			second: func(m *mount) string { return m.second(m.api.BoundToPod("web-2")) }, requests: 2, step: "token review",
		},
		"of no pod": {
			second: func(m *mount) string { return m.api.Token("apps", "web", kubetest.Audience(m.api.Issuer)) }, requests: 2, step: "token review",
		},
		"of another account, which may ask": {
			second: func(m *mount) string { return m.api.Token("apps", "db", kubetest.Audience(m.api.Issuer)) }, step: "unverified claims",
		},
		"of another account, which the API server alone tells": {
			before: func(m *mount) {
				m.api.OnReview(func(r *authv1.TokenReview) {
					if r.Status.Audiences[0] != "vault" {
						r.Status.User.Username = "system:serviceaccount:apps:db"
					}
				})
			},
			second: func(m *mount) string { return m.second() }, requests: 2, step: "token review",
		},
		"of which the API server does not say whose it is": {
			before: func(m *mount) {
				m.api.OnReview(func(r *authv1.TokenReview) {
					if r.Status.Audiences[0] != "vault" {
						r.Status = authv1.TokenReviewStatus{}
					}
				})
			},
			second: func(m *mount) string { return m.second() }, requests: 2, step: "token review",
		},
		"for Vault as well":   {second: func(m *mount) string { return m.second(kubetest.Audience("vault")) }, requests: 1, step: "token review"},
		"the first once more": {second: func(m *mount) string { return m.token(m.api.BoundToPod("web-1"), kubetest.Claim("jti", "x")) }, requests: 1, step: "token review"},
		"forged":              {second: func(m *mount) string { return m.second(kubetest.SignedWith(kubetest.NewECDSAKey())) }, requests: 1, step: "token review"},
		"of another cluster": {second: func(*mount) string {
			return elsewhere.Token("apps", "web", kubetest.Audience(elsewhere.Issuer), kubetest.WithoutClaim("kubernetes.io"))
		}, requests: 1, step: "token review"},
		"that has expired":         {second: func(m *mount) string { return m.second(kubetest.Expiry(time.Now().Add(-time.Hour))) }, step: "unverified claims"},
		"of a pod that is gone":    {before: func(m *mount) {}, second: func(m *mount) string { s := m.second(); m.api.DeletePod("apps", "web-1"); return s }, requests: 1, step: "token review"},
		"that is no token":         {second: func(*mount) string { return "garbage" }, step: "token form"},
		"with a line feed within":  {second: func(m *mount) string { return strings.Replace(m.second(), ".", ".\n", 1) }, step: "token form"},
		"with a header of its own": {second: func(m *mount) string { return m.second() + "\r\nX-Remote-User: admin" }, step: "token form"},
		"that is too long":         {second: func(*mount) string { return strings.Repeat("a", 1<<20) }, step: "token form"},
		"of a first that is forged": {
			first: func(m *mount) string {
				return m.token(m.api.BoundToPod("web-1"), kubetest.SignedWith(kubetest.NewECDSAKey()))
			},
			second: func(m *mount) string { return m.second() }, requests: 1, step: "token review",
		},
		"of a first for another audience": {
			first:  func(m *mount) string { return m.token(m.api.BoundToPod("web-1"), kubetest.Audience("other")) },
			second: func(m *mount) string { return m.second() }, step: "unverified claims",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newTwoTokens(t, nil, nil)
			first := m.token(m.api.BoundToPod("web-1"))
			if row.first != nil {
				first = row.first(m)
			}
			if row.before != nil {
				row.before(m)
			}
			second := row.second(m)
			m.logs.Take()
			o := m.loginWithTwo(first, second)
			asked := strings.TrimSpace(second)
			if second == "" {
				asked = first
			}
			m.wantAskedBy(asked, row.requests)
			if row.ok {
				if o.status != http.StatusOK || o.auth.Metadata["service_account_name"] != "web" {
					t.Fatalf("%d %s; %v", o.status, o.message, m.logs.Take())
				}
			} else {
				wantRefused(t, o, http.StatusForbidden)
				// It is the client's doing, and no trouble of the mount's.
				if logged := m.logs.One(t); logged.Level != hclog.Debug || logged.Fields["step"] != row.step {
					t.Errorf("logged %s", logged)
				}
			}
			wantAgreement(t, m, fields{"role": "demo", "jwt": first, "reviewer_jwt": second})
		})
	}
	t.Run("the same token twice", func(t *testing.T) {
		m := newTwoTokens(t, nil, nil)
		both := m.second(kubetest.Audience("vault", m.api.Issuer))
		m.mustLogin(both) // alone it may ask about itself, as ever
		m.api.Forget()
		wantRefused(t, m.loginWithTwo(both, both+" "), http.StatusForbidden)
		m.wantAskedBy("", 0)
	})
}

// What a login looks at beside the review is looked at by the second token, too.
func TestSecondTokenLooksUp(t *testing.T) {
	m := newTwoTokens(t, fields{"use_annotations_as_alias_metadata": true, "verification": "keys_then_review"}, fields{
		"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": "{}",
	})
	first, second := m.token(m.api.BoundToPod("web-1")), m.second()
	wantRefused(t, m.loginWithTwo(first, second), http.StatusForbidden)
	m.wantAskedBy(second, 4) // the keys, two reviews, the namespace that it may not get
	if logged := m.logs.One(t); logged.Level != hclog.Debug {
		t.Errorf("logged %s", logged)
	}
	m.api.Grant("apps", "web", kubetest.Namespaces, kubetest.ServiceAccounts)
	if o := m.loginWithTwo(first, second); o.status != http.StatusOK {
		t.Fatalf("%d %s; %v", o.status, o.message, m.logs.Take())
	}
	m.wantAskedBy(second, 4)
	// With keys nobody is asked about tokens that the cluster did not sign, whichever it is.
	wantRefused(t, m.loginWithTwo(first, m.second(kubetest.SignedWith(kubetest.NewECDSAKey()))), http.StatusForbidden)
	if got := m.api.Count(kubetest.TokenReviews); got != 0 {
		t.Errorf("%d reviews for a second token that the cluster did not sign", got)
	}
}

// A reviewer that is configured comes first, unless the configuration says otherwise, and then
// nothing of the second token leaves.
func TestSecondTokenAndAReviewer(t *testing.T) {
	for name, setting := range map[string]func(m *mount) fields{
		"a token":          func(m *mount) fields { return m.config(nil) },
		"a certificate":    func(m *mount) fields { return m.certified(nil) },
		"tokens by itself": func(m *mount) fields { return m.config(fields{"token_reviewer_service_account": reviewerAccount}) },
		"the pod's own": func(m *mount) fields {
			m.podFile("ca.crt", m.api.CAPEM)
			m.podFile("token", m.api.Reviewer)
			return m.tokenless(fields{"disable_local_ca_jwt": nil})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newTwoTokens(t, nil, nil)
			m.api.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenRequests)
			m.write("config", setting(m))
			first, second := m.token(m.api.BoundToPod("web-1")), m.second()
			m.api.Forget()
			for _, sent := range []string{second, "garbage", m.second(m.api.BoundToPod("web-2"))} {
				if o := m.loginWithTwo(first, sent); o.status != http.StatusOK {
					t.Fatalf("%d %s; %v", o.status, o.message, m.logs.Take())
				}
			}
			for _, r := range m.api.Requests() {
				if r.Bearer == second || strings.Contains(r.Bearer, "garbage") {
					t.Errorf("%s was asked by the second token", r.Path)
				}
			}
			if note := m.explain(fields{"role": "demo", "jwt": first, "reviewer_jwt": second}).data["note"]; !strings.Contains(fmt.Sprint(note), "the mount has a reviewer") {
				t.Errorf("explain notes %v", note)
			}
			m.write("config", merge(setting(m), fields{"prefer_login_reviewer_jwt": true}))
			m.api.Forget()
			if o := m.loginWithTwo(first, second); o.status != http.StatusOK {
				t.Fatalf("%d %s; %v", o.status, o.message, m.logs.Take())
			}
			m.wantAskedBy(second, 2)
			m.mustLogin(first) // without one, the reviewer asks
			// The second stands by its own permissions: no certificate goes with it.
			m.api.Revoke("apps", "web", kubetest.TokenReviews)
			wantRefused(t, m.loginWithTwo(first, second), http.StatusForbidden)
			m.mustLogin(first)
		})
	}
	t.Run("with keys nobody is asked", func(t *testing.T) {
		m := newTwoTokens(t, fields{"verification": "keys", "prefer_login_reviewer_jwt": true}, nil)
		if o := m.loginWithTwo(m.token(m.api.BoundToPod("web-1")), m.second()); o.status != http.StatusForbidden && o.status != http.StatusOK {
			t.Fatalf("%d %s", o.status, o.message)
		}
		for _, r := range m.api.Requests() {
			if r.Resource == kubetest.TokenReviews || r.Bearer == m.second() {
				t.Errorf("%s was asked", r.Path)
			}
		}
	})
}

// What was confirmed with a second token is remembered for those who have it as well.
func TestSecondTokenIsPartOfWhatIsRemembered(t *testing.T) {
	m := newTwoTokens(t, fields{"token_review_cache_ttl": 60}, nil)
	first, second := m.token(m.api.BoundToPod("web-1")), m.second()
	if o := m.loginWithTwo(first, second); o.status != http.StatusOK {
		t.Fatalf("%d %s", o.status, o.message)
	}
	m.wantAskedBy(second, 2)
	if o := m.loginWithTwo(first, second); o.status != http.StatusOK {
		t.Fatalf("%d %s", o.status, o.message)
	}
	m.wantAskedBy(second, 0)
	wantRefused(t, m.login("demo", first), http.StatusForbidden) // stolen, alone
	m.wantAskedBy(first, 1)
	for _, other := range []string{
		m.second(m.api.BoundToPod("web-2")), m.second(kubetest.SignedWith(kubetest.NewECDSAKey())), m.api.Token("apps", "db", kubetest.Audience(m.api.Issuer)),
	} {
		wantRefused(t, m.loginWithTwo(first, other), http.StatusForbidden)
	}
}

// Nor does a login with another second token join the review of one that is under way.
func TestSecondTokenSharesNoReview(t *testing.T) {
	m := newTwoTokens(t, fields{"token_review_cache_ttl": 60}, nil)
	first, second := m.token(m.api.BoundToPod("web-1")), m.second()
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.api.OnReview(func(*authv1.TokenReview) {
		once.Do(func() { close(asked); <-answer })
	})
	var good outcome
	var done sync.WaitGroup
	done.Go(func() { good = m.loginWithTwo(first, second) })
	<-asked
	wantRefused(t, m.loginWithTwo(first, m.second(kubetest.SignedWith(kubetest.NewECDSAKey()))), http.StatusForbidden)
	wantRefused(t, m.login("demo", first), http.StatusForbidden)
	close(answer)
	done.Wait()
	if good.status != http.StatusOK {
		t.Errorf("%d %s", good.status, good.message)
	}
}

// Second tokens that are no good are those of clients: the reviewer is not said to be
// rejected, the API server not to be down, and nobody else is refused.
func TestSecondTokensThatAreNoGoodHurtNobodyElse(t *testing.T) {
	m := newTwoTokens(t, nil, nil)
	m.write("config", m.config(fields{"prefer_login_reviewer_jwt": true}))
	first := m.token(m.api.BoundToPod("web-1"))
	m.logs.Take()
	changed := m.counted(func() {
		for range 20 {
			wantRefused(t, m.loginWithTwo(first, m.second(kubetest.SignedWith(kubetest.NewECDSAKey()))), http.StatusForbidden)
			m.mustLogin(first)
		}
	})
	if changed["api_requests_total{token_review,client_refused}"] != 20 || changed["api_requests_total{token_review,unauthorized}"] != 0 ||
		changed["logins_total{client_refused,denied,token_review}"] != 20 || changed["logins_total{,allowed,}"] != 20 {
		t.Errorf("counted %v", changed)
	}
	for _, line := range m.logs.Take() {
		if line.Level > hclog.Debug {
			t.Errorf("logged %s", line)
		}
	}
	c, _ := m.cluster.Peek()
	if state := c.Client.State(); state.Circuit.Failures != 0 || state.Rate != 0 {
		t.Errorf("the API server counts as %+v", state)
	}
	if found := m.checked()["reviewer"]; !strings.HasPrefix(fmt.Sprint(found), "pass") {
		t.Errorf("check says %v", found)
	}
}

// An outage stays one, whoever asks.
func TestSecondTokenAndAnOutage(t *testing.T) {
	m := newTwoTokens(t, nil, nil)
	m.api.Fail(kubetest.Status(http.StatusInternalServerError))
	wantRefused(t, m.loginWithTwo(m.token(m.api.BoundToPod("web-1")), m.second()), http.StatusServiceUnavailable)
	if logged := m.logs.One(t); logged.Level != hclog.Warn || logged.Fields["class"] != "server error" {
		t.Errorf("logged %s", logged)
	}
}

// explain names what to do about a second token, and takes one with a token alone.
func TestExplainOfTwoTokens(t *testing.T) {
	m := newTwoTokens(t, nil, nil)
	m.api.Revoke("apps", "web", kubetest.TokenReviews)
	data := fields{"role": "demo", "jwt": m.token(m.api.BoundToPod("web-1")), "reviewer_jwt": m.second()}
	if remedy := fmt.Sprint(m.explain(data).data["remedy"]); !strings.Contains(remedy, "let the service account of reviewer_jwt ask about tokens") {
		t.Errorf("remedy %q", remedy)
	}
	m.api.Grant("apps", "web", kubetest.TokenReviews)
	data["reviewer_jwt"] = m.second(m.api.BoundToPod("web-2"))
	if remedy := fmt.Sprint(m.explain(data).data["remedy"]); !strings.Contains(remedy, "send two tokens of the same pod") {
		t.Errorf("remedy %q", remedy)
	}
	if o := m.explain(fields{"role": "demo", "service_account": "apps/web", "reviewer_jwt": m.second()}); o.status != http.StatusBadRequest {
		t.Errorf("without jwt: %d %v", o.status, o.data)
	}
}

// Alias look-ahead takes the same proof as the login.
func TestLookaheadWithTwoTokens(t *testing.T) {
	m := newTwoTokens(t, nil, nil)
	ask := func(second string) outcome {
		return m.do(logical.AliasLookaheadOperation, "login", fields{"role": "demo", "jwt": m.token(m.api.BoundToPod("web-1")), "reviewer_jwt": second})
	}
	if o := ask(m.second()); o.status != http.StatusOK || o.auth.Alias.Name == "" {
		t.Errorf("%d %s", o.status, o.message)
	}
	wantRefused(t, ask(m.second(m.api.BoundToPod("web-2"))), http.StatusForbidden)
}
