package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// Tokens are not logged, whatever goes wrong with them, and wherever they are sent.
func TestNoTokenIsLogged(t *testing.T) {
	for name, row := range map[string]struct {
		config fields
		fault  kubetest.Fault
		login  func(m *mount, token string) outcome
	}{
		"allowed":             {},
		"rejected credential": {fault: kubetest.Status(http.StatusUnauthorized)},
		"outage":              {fault: kubetest.HTML(http.StatusBadGateway)},
		"connection closed":   {fault: kubetest.CloseConnection()},
		"API server that repeats the request": {fault: func(w http.ResponseWriter, r *http.Request) {
			kubetest.Text(http.StatusInternalServerError, "text/plain", r.Header.Get("User-Agent"))(w, r)
		}},
		"token in place of the role": {login: func(m *mount, token string) outcome { return m.login(token, "demo") }},
		"token as both":              {login: func(m *mount, token string) outcome { return m.login(token, token) }},
		"token cut off": {login: func(m *mount, token string) outcome {
			return m.login("demo", token[:len(token)-20])
		}},
		"token with a byte too many": {login: func(m *mount, token string) outcome { return m.login("demo", token+"!") }},
		"token for another audience": {login: func(m *mount, _ string) outcome { return m.login("demo", m.token(kubetest.Audience("other"))) }},
		"self-review":                {config: fields{"token_reviewer_jwt": nil}},
		"look-ahead":                 {login: func(m *mount, token string) outcome { return m.lookahead("demo", token+"x") }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, nil)
			if row.fault != nil {
				m.api.Fail(row.fault)
			}
			token := m.token()
			login := row.login
			if login == nil {
				login = func(m *mount, token string) outcome { return m.login("demo", token) }
			}
			o := login(m, token)
			for _, secret := range []string{token, m.api.Reviewer} {
				for segment := range strings.SplitSeq(secret, ".") {
					m.logs.WantNone(t, segment)
				}
			}
			if o.status != http.StatusBadRequest && strings.Contains(o.message, token[:20]) {
				t.Errorf("the caller reads %s", o.message)
			}
		})
	}
}

// What a stranger calls a role is not logged; what is a role is.
func TestOnlyRolesAreLoggedAsRoles(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.login("demo", "garbage")
	if logged := m.logs.One(t); logged.Fields["role"] != "demo" {
		t.Errorf("logged %s", logged)
	}
	m.login("no-such-role", m.token())
	if logged := m.logs.One(t); logged.Fields["role"] != "" {
		t.Errorf("logged %s", logged)
	}
}

// However many logins fail, of one kind of trouble there is one warning.
func TestLogKindsAreFew(t *testing.T) {
	m := newDemo(t, nil, nil)
	for i := range 50 {
		m.login(fmt.Sprint("role-", i), m.token())
		m.login("demo", fmt.Sprint("garbage-", i))
		m.login("demo", m.token(kubetest.Audience(fmt.Sprint(i))))
		m.api.FailTimes(1, kubetest.Text(http.StatusInternalServerError, "text/plain", fmt.Sprint("trouble ", i)))
		m.login("demo", m.token())
	}
	warnings := 0
	for _, logged := range m.logs.Take() {
		if logged.Level >= hclog.Warn {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings, want 1", warnings)
	}
}
