package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

func outage(class string) error {
	return &refusal.StepError{Step: "token review", Err: &refusal.Refusal{Kind: refusal.CouldNotAsk, Reason: "no answer", Remedy: "look", Class: class, Operator: true}}
}

// Operators filter and alert on these.
func TestLogKeys(t *testing.T) {
	for name, row := range map[string]struct {
		err     error
		level   hclog.Level
		message string
		keys    []string
		fields  map[string]string
	}{
		"denial": {
			err:   &refusal.StepError{Step: "namespace", Err: refusal.Deny("not bound")},
			level: hclog.Debug, message: "login refused",
			keys:   []string{"mount", "role", "step", "outcome", "class", "reason"},
			fields: map[string]string{"mount": "auth/k/", "role": "demo", "step": "namespace", "outcome": "denied", "class": "denied", "reason": "not bound"},
		},
		"wrapped denial": {
			err:   &refusal.StepError{Step: "signature", Err: refusal.DenyFor(errors.New("no key"))},
			level: hclog.Debug, message: "login refused",
			keys:   []string{"mount", "role", "step", "outcome", "class", "reason"},
			fields: map[string]string{"mount": "auth/k/", "role": "demo", "step": "signature", "outcome": "denied", "class": "denied", "reason": "no key"},
		},
		"invalid request": {
			err:   refusal.OfRequest("missing jwt", "missing jwt"),
			level: hclog.Debug, message: "login refused",
			keys:   []string{"mount", "role", "step", "outcome", "class", "reason"},
			fields: map[string]string{"mount": "auth/k/", "role": "", "step": "request", "outcome": "invalid", "class": "invalid request", "reason": "missing jwt"},
		},
		"outage": {
			err:   outage("timeout"),
			level: hclog.Warn, message: "logins fail and need an operator",
			keys: []string{"mount", "role", "step", "outcome", "class", "reason", "remedy"},
			fields: map[string]string{
				"mount": "auth/k/", "role": "demo", "step": "token review", "outcome": "could not ask", "class": "timeout", "reason": "no answer", "remedy": "look",
			},
		},
		"storage": {
			err:   fmt.Errorf("reading: %w", errStorage),
			level: hclog.Warn, message: "logins fail and need an operator",
			keys:   []string{"mount", "role", "step", "outcome", "class", "reason"},
			fields: map[string]string{"mount": "auth/k/", "role": "", "step": "request", "outcome": "error", "class": "storage", "reason": "reading: storage is sealed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogs()
			newLoginLog().refused(l, "auth/k/", "demo", row.err)
			got := l.one(t)
			if got.level != row.level || got.message != row.message || !slices.Equal(got.keys, row.keys) {
				t.Errorf("logged %s with the keys %q", got, got.keys)
			}
			wantStrings(t, "the line", got.fields, row.fields)
		})
	}
}

// The first line comes at once, further ones of its kind once in ten seconds, with
// the number of those that did not.
func TestLogIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLogs(), newLoginLog()
		refuse := func(times int, class string) []line {
			for range times {
				log.refused(l, "auth/k/", "demo", outage(class))
			}
			return l.take()
		}
		if got := refuse(100, "timeout"); len(got) != 1 || got[0].fields["suppressed"] != "" {
			t.Errorf("logged %v, want one line", got)
		}
		if got := refuse(1, "dns"); len(got) != 1 {
			t.Errorf("another kind of trouble: logged %v, want one line", got)
		}
		time.Sleep(logEvery - time.Nanosecond) // in the bubble's time
		if got := refuse(1, "timeout"); len(got) != 0 {
			t.Errorf("too early: logged %v", got)
		}
		time.Sleep(time.Nanosecond)
		if got := refuse(3, "timeout"); len(got) != 1 || got[0].fields["suppressed"] != "100" {
			t.Errorf("logged %v, want one line that says 100", got)
		}
		time.Sleep(logEvery)
		if got := refuse(1, "timeout"); len(got) != 1 || got[0].fields["suppressed"] != "2" {
			t.Errorf("logged %v, want one line that says 2", got)
		}
		time.Sleep(logEvery)
		if got := refuse(1, "timeout"); len(got) != 1 || got[0].fields["suppressed"] != "" {
			t.Errorf("logged %v, want one line that says nothing of others", got)
		}
	})
}

// Strangers cannot make memory grow: the kinds are made of fixed words.
func TestLogKindsAreFew(t *testing.T) {
	m := newDemo(t, nil, nil)
	for i := range 50 {
		m.login(fmt.Sprint("role-", i), m.token())
		m.login("demo", fmt.Sprint("garbage-", i))
		m.login("demo", m.token(kubetest.Audience(fmt.Sprint(i))))
		m.api.FailTimes(1, kubetest.Text(http.StatusInternalServerError, "text/plain", fmt.Sprint("trouble ", i)))
		m.login("demo", m.token())
	}
	if got := len(m.log.kinds); got > 3 {
		t.Errorf("%d kinds after four kinds of trouble: %v", got, m.log.kinds)
	}
	warnings := 0
	for _, logged := range m.logs.take() {
		if logged.level >= hclog.Warn {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings, want 1", warnings)
	}
}

func TestLogAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLogs(), newLoginLog()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for range 10 {
					log.refused(l, "auth/k/", "demo", outage("timeout"))
				}
			})
		}
		all.Wait()
		time.Sleep(logEvery)
		log.refused(l, "auth/k/", "demo", outage("timeout"))
		lines := l.take()
		if len(lines) != 2 || lines[1].fields["suppressed"] != "99" {
			t.Errorf("logged %v, want two lines, the second of which says 99", lines)
		}
	})
}

func TestLongReasonsAreCut(t *testing.T) {
	l := newLogs()
	newLoginLog().refused(l, "auth/k/", "demo", &refusal.StepError{Step: "x", Err: refusal.Deny(strings.Repeat("x", 1<<20))})
	if got := l.one(t).fields["reason"]; len(got) > maxLoggedBytes+len("…") || !strings.HasPrefix(got, "xxx") {
		t.Errorf("the reason has %d bytes", len(got))
	}
}

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
					m.logs.wantNone(t, segment)
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
	if logged := m.logs.one(t); logged.fields["role"] != "demo" {
		t.Errorf("logged %s", logged)
	}
	m.login("no-such-role", m.token())
	if logged := m.logs.one(t); logged.fields["role"] != "" {
		t.Errorf("logged %s", logged)
	}
}
