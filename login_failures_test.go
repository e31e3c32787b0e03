package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestReviewerTrouble(t *testing.T) {
	noReviewer := fields{"token_reviewer_jwt": nil}
	const operator, client = hclog.Warn, hclog.Debug
	for name, row := range map[string]struct {
		config fields
		before func(*mount)
		token  func(*mount) string
		want   int
		level  hclog.Level
		class  string
	}{
		"reviewer deleted": {
			before: func(m *mount) { m.api.DeleteServiceAccount(kubetest.ReviewerNamespace, kubetest.ReviewerName) },
			want:   http.StatusForbidden, level: operator, class: "unauthorized",
		},
		"reviewer lost its permission": {
			before: func(m *mount) { m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenReviews) },
			want:   http.StatusForbidden, level: operator, class: "forbidden",
		},
		"reviewer's token is garbage": {
			config: fields{"token_reviewer_jwt": "garbage"}, want: http.StatusForbidden, level: operator, class: "unauthorized",
		},
		"self-review without permission": {
			config: noReviewer, token: func(m *mount) string { return m.token(kubetest.Audience("vault", m.api.Issuer)) },
			want: http.StatusForbidden, level: operator, class: "no reviewer",
		},
		"self-review with a token that is not for the API": {
			config: noReviewer, before: func(m *mount) { m.api.Grant("apps", "web", kubetest.TokenReviews) },
			want: http.StatusForbidden, level: client, class: "unauthorized",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, nil)
			if row.before != nil {
				row.before(m)
			}
			token := m.token()
			if row.token != nil {
				token = row.token(m)
			}
			wantRefused(t, m.login("demo", token), row.want)
			if logged := m.logs.One(t); logged.Level != row.level || logged.Fields["class"] != row.class || logged.Fields["step"] != "token review" {
				t.Errorf("logged %s", logged)
			}
			wantAgreement(t, m, fields{"role": "demo", "jwt": token})
		})
	}
}

func TestSelfReviewWithPermission(t *testing.T) {
	m := newDemo(t, fields{"token_reviewer_jwt": nil, "use_annotations_as_alias_metadata": true}, fields{
		"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": "{}",
	})
	m.api.Grant("apps", "web", kubetest.TokenReviews, kubetest.Namespaces, kubetest.ServiceAccounts)
	token := m.token(kubetest.Audience("vault", m.api.Issuer))
	m.mustLogin(" " + token + "\n")
	if got := len(m.api.Requests()); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
	for _, r := range m.api.Requests() {
		if r.Bearer != token {
			t.Errorf("%s %s had another credential than the login token", r.Method, r.Path)
		}
	}
}

// The look-ups after the review: what the API server says denies, and no answer is
// no denial.
func TestLookUpsThatFail(t *testing.T) {
	for resource, row := range map[kubetest.Resource]struct {
		config, role fields
		step         string
	}{
		kubetest.Namespaces: {
			role: fields{"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": "{}"}, step: "namespace",
		},
		kubetest.ServiceAccounts: {config: fields{"use_annotations_as_alias_metadata": true}, step: "alias"},
	} {
		for name, failure := range map[string]struct {
			fault kubetest.Fault
			want  int
			class string
		}{
			"credential rejected": {kubetest.Status(http.StatusUnauthorized), http.StatusForbidden, "unauthorized"},
			"no permission":       {kubetest.Status(http.StatusForbidden), http.StatusForbidden, "forbidden"},
			"gone":                {kubetest.Status(http.StatusNotFound), http.StatusForbidden, "not found"},
			"throttled":           {kubetest.Status(http.StatusTooManyRequests), http.StatusServiceUnavailable, "throttled"},
			"server error":        {kubetest.Status(http.StatusInternalServerError), http.StatusServiceUnavailable, "server error"},
			"another kind":        {kubetest.WrongKind(), http.StatusServiceUnavailable, "unusable answer"},
			"page of a proxy":     {kubetest.HTML(http.StatusNotFound), http.StatusServiceUnavailable, "unusable answer"},
		} {
			t.Run(fmt.Sprint(resource, ", ", name), func(t *testing.T) {
				m := newDemo(t, row.config, row.role)
				m.api.Fail(failure.fault, resource)
				wantRefused(t, m.login("demo", m.token()), failure.want)
				logged := m.logs.One(t)
				level := hclog.Warn
				if name == "gone" {
					level = hclog.Debug // whoever deletes an account is no operator
				}
				if logged.Level != level || logged.Fields["class"] != failure.class || logged.Fields["step"] != row.step || level == hclog.Warn && logged.Fields["remedy"] == "" {
					t.Errorf("logged %s", logged)
				}
				wantAgreement(t, m, fields{"role": "demo", "jwt": m.token()})
				m.api.Heal()
				m.mustLogin(m.token())
			})
		}
	}
}

// mustLoginSoon is mustLogin for when the API server has just returned: who is known to be
// down is asked by one login each upstream.ProbeEvery.
func (m *mount) mustLoginSoon(jwt string) {
	m.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if m.login("demo", jwt).status == http.StatusOK {
			return
		}
	}
	m.mustLogin(jwt)
}

// An outage is never reported as a denial, and ends by itself.
func TestOutages(t *testing.T) {
	for name, row := range map[string]struct {
		fault kubetest.Fault
		class string
	}{
		"throttled":                   {kubetest.Status(http.StatusTooManyRequests), "throttled"},
		"throttled for an hour":       {kubetest.RetryAfter(http.StatusTooManyRequests, 3600), "throttled"},
		"internal error":              {kubetest.Status(http.StatusInternalServerError), "server error"},
		"unavailable":                 {kubetest.Status(http.StatusServiceUnavailable), "server error"},
		"connection closed":           {kubetest.CloseConnection(), "connection"},
		"truncated":                   {kubetest.Truncate(), "connection"},
		"page of a proxy":             {kubetest.HTML(http.StatusOK), "unusable answer"},
		"login page of a proxy":       {kubetest.HTML(http.StatusUnauthorized), "unusable answer"},
		"block page of a firewall":    {kubetest.HTML(http.StatusForbidden), "unusable answer"},
		"another kind":                {kubetest.WrongKind(), "unusable answer"},
		"an empty object":             {kubetest.Text(http.StatusOK, "application/json", "{}"), "unusable answer"},
		"redirect":                    {kubetest.Redirect(http.StatusFound, "https://example.invalid"), "unusable answer"},
		"no such path":                {http.NotFound, "unusable answer"},
		"TokenReview is switched off": {kubetest.Status(http.StatusNotFound), "not found"},
		"too large":                   {kubetest.Oversize(8<<20, nil), "unusable answer"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.api.Fail(row.fault)
			wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
			logged := m.logs.One(t)
			if logged.Level != hclog.Warn || logged.Fields["class"] != row.class || logged.Fields["outcome"] != "could not ask" || logged.Fields["remedy"] == "" {
				t.Errorf("logged %s", logged)
			}
			wantAgreement(t, m, fields{"role": "demo", "jwt": m.token()})
			m.api.Heal()
			m.mustLoginSoon(m.token())
		})
	}
	t.Run("server is gone", func(t *testing.T) {
		m := newDemo(t, nil, nil)
		m.api.Close()
		wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	})
	t.Run("another cluster's CA", func(t *testing.T) {
		m := newDemo(t, fields{"kubernetes_ca_cert": kubetest.Start(t).CAPEM}, nil)
		wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
		if logged := m.logs.One(t); logged.Fields["class"] != "tls" {
			t.Errorf("logged %s", logged)
		}
	})
}

// A client that went away is no trouble of the operator's.
func TestClientGoesAway(t *testing.T) {
	m := newDemo(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	m.api.Fail(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	_, err := m.HandleRequest(ctx, &logical.Request{
		Operation: logical.UpdateOperation, Path: "login", Data: fields{"role": "demo", "jwt": m.token()}, Storage: m.storage,
	})
	if err == nil {
		t.Error("no error")
	}
	if logged := m.logs.One(t); logged.Level != hclog.Debug || logged.Fields["class"] != "canceled" {
		t.Errorf("logged %s", logged)
	}
}

// A slow cluster slows its logins and nothing else.
func TestNothingWaitsForALogin(t *testing.T) {
	m := newDemo(t, nil, nil)
	entered := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	m.api.Fail(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-ctx.Done()
		kubetest.Status(http.StatusServiceUnavailable)(w, r)
	})
	var login sync.WaitGroup
	login.Go(func() { m.login("demo", m.token()) })
	<-entered
	// All of these would deadlock the test if they waited.
	m.write("role/other", m.role(nil))
	m.read("role/demo")
	m.write("config", m.config(fields{"issuer": "https://issuer"}))
	m.do(logical.PatchOperation, "config", fields{"issuer": ""})
	m.read("config")
	m.do(logical.DeleteOperation, "role/other", nil)
	m.do(logical.ResolveRoleOperation, "login", fields{"role": "demo"})
	m.InvalidateKey(t.Context(), "config")
	cancel()
	login.Wait()
}

// A storage that fails is an error, not a denial.
func TestStorageErrorsPassThrough(t *testing.T) {
	for _, key := range []string{"config", "role/"} {
		t.Run(key, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.storage.fail(key)
			for operation, o := range map[string]outcome{
				"login":      m.login("demo", m.token()),
				"look-ahead": m.lookahead("demo", m.token()),
			} {
				if o.status != http.StatusInternalServerError || !errors.Is(o.err, errStorage) {
					t.Errorf("%s: %d %v", operation, o.status, o.err)
				}
			}
			m.storage.fail("")
			m.mustLogin(m.token())
		})
	}
}
