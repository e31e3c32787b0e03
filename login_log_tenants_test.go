package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/logtest"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

// The whole way: accounts with names that a rule cannot use, by the thousand.
func TestFloodOfNamesThatCannotBe(t *testing.T) {
	m := newRules(t, nil)
	m.rule("service", "", "service", "${serviceaccount.name}")
	m.rule("many", `serviceaccount.name == "many"`, "service", "m-${serviceaccount.labels.x}")
	for i := range 50 {
		name := fmt.Sprintf("bad.name-%d", i)
		m.api.AddServiceAccount("evil", name)
		wantRefused(t, m.loginByRules(m.api.Token("evil", name, kubetest.Audience("vault"))), 403)
	}
	if got := m.logs.One(t); got.Level != hclog.Warn || got.Fields["namespace"] != "evil" {
		t.Errorf("logged %s", got)
	}
	m.api.AddServiceAccount("shop", "web.front")
	wantRefused(t, m.loginByRules(m.api.Token("shop", "web.front", kubetest.Audience("vault"))), 403)
	if got := m.logs.One(t); got.Level != hclog.Warn || got.Fields["namespace"] != "shop" || !strings.Contains(got.Fields["reason"], "web.front") {
		t.Errorf("the victim: logged %s", got)
	}
}

// An account that is deleted after the review is not an operator's to mend.
func TestObjectsThatAreGoneAreNoWarning(t *testing.T) {
	m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, nil)
	m.api.Fail(kubetest.Status(404), kubetest.ServiceAccounts)
	wantRefused(t, m.login("demo", m.token()), 403)
	if got := m.logs.One(t); got.Level != hclog.Debug || got.Fields["class"] != "not found" {
		t.Errorf("logged %s", got)
	}
}

// A client that goes away is no trouble of storage, whatever was waited for.
func TestClientsThatGoAwayAreNoWarning(t *testing.T) {
	l := logtest.New()
	telemetry.NewLog().Refused(l, "auth/k/", "", fmt.Errorf("reading: %w", context.Canceled))
	if got := l.One(t); got.Level != hclog.Debug || got.Fields["class"] != "canceled" {
		t.Errorf("logged %s", got)
	}
}

// Several services of one account are a trap for policies that are made of one.
func TestSeveralServicesAreToldOf(t *testing.T) {
	m := newRules(t, nil)
	m.rule("one", "", "service", "checkout")
	m.mustLoginByRules(m.token())
	if got := m.logs.Take(); len(got) != 0 {
		t.Errorf("one service: logged %v", got)
	}
	m.rule("two", "", "service", "checkout-admin")
	m.mustLoginByRules(m.token())
	m.mustLoginByRules(m.token())
	got := m.logs.One(t)
	if got.Level != hclog.Warn || got.Fields["services"] != "checkout,checkout-admin" || got.Fields["namespace"] != "apps" {
		t.Errorf("logged %s", got)
	}
	explained := m.explained(fields{"jwt": m.token()})
	if note := fmt.Sprint(explained["note"]); !strings.Contains(note, "several services") {
		t.Errorf("the note is %q", note)
	}
}
