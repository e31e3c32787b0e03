package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

func troubleOf(namespace, class string) error {
	return &refusal.StepError{Step: "binding rules", Err: &refusal.Refusal{Kind: refusal.Denied, Operator: true, Tenant: namespace, Class: class, Reason: "no valid name"}}
}

// What the owner of one namespace causes, however much it is, hides no line of another.
func TestTenantsDoNotHideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLogs(), newLoginLog()
		flood := func(namespace string, times int) []line {
			for range times {
				log.refused(l, "auth/k/", "", troubleOf(namespace, "invalid name"))
			}
			return l.take()
		}
		if got := flood("evil", 10_000); len(got) != 1 || got[0].fields["namespace"] != "evil" {
			t.Errorf("a flood: logged %v, want one line that names the namespace", got)
		}
		if got := flood("shop", 1); len(got) != 1 || got[0].level != hclog.Warn || got[0].fields["namespace"] != "shop" || got[0].fields["suppressed"] != "" {
			t.Errorf("the victim: logged %v, want its line at once", got)
		}
		time.Sleep(logEvery)
		if got := flood("evil", 1); len(got) != 1 || got[0].fields["suppressed"] != "9999" {
			t.Errorf("later: logged %v, want one line that says 9999", got)
		}
	})
}

// Many namespaces neither fill the memory nor the log.
func TestTenantsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := newLogs(), newLoginLog()
		for range 3 {
			for i := range 10_000 {
				log.refused(l, "auth/k/", "", troubleOf(fmt.Sprint("ns-", i), "invalid name"))
			}
		}
		if got := len(l.take()); got != maxTenantTroubles+1 {
			t.Errorf("%d lines, want one for each of %d namespaces and one for the rest", got, maxTenantTroubles)
		}
		if len(log.tenants) > maxTenantTroubles {
			t.Errorf("%d namespaces are remembered", len(log.tenants))
		}
		time.Sleep(logEvery)
		log.refused(l, "auth/k/", "", troubleOf("late", "invalid name"))
		if got := l.take(); len(got) != 1 || got[0].fields["namespace"] != "late" || len(log.tenants) != 1 {
			t.Errorf("once they are quiet: logged %v, %d namespaces are remembered", got, len(log.tenants))
		}
	})
}

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
	if got := m.logs.one(t); got.level != hclog.Warn || got.fields["namespace"] != "evil" {
		t.Errorf("logged %s", got)
	}
	m.api.AddServiceAccount("shop", "web.front")
	wantRefused(t, m.loginByRules(m.api.Token("shop", "web.front", kubetest.Audience("vault"))), 403)
	if got := m.logs.one(t); got.level != hclog.Warn || got.fields["namespace"] != "shop" || !strings.Contains(got.fields["reason"], "web.front") {
		t.Errorf("the victim: logged %s", got)
	}
}

// An account that is deleted after the review is not an operator's to mend.
func TestObjectsThatAreGoneAreNoWarning(t *testing.T) {
	m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, nil)
	m.api.Fail(kubetest.Status(404), kubetest.ServiceAccounts)
	wantRefused(t, m.login("demo", m.token()), 403)
	if got := m.logs.one(t); got.level != hclog.Debug || got.fields["class"] != "not found" {
		t.Errorf("logged %s", got)
	}
}

// A client that goes away is no trouble of storage, whatever was waited for.
func TestClientsThatGoAwayAreNoWarning(t *testing.T) {
	l := newLogs()
	newLoginLog().refused(l, "auth/k/", "", fmt.Errorf("reading: %w", context.Canceled))
	if got := l.one(t); got.level != hclog.Debug || got.fields["class"] != "canceled" {
		t.Errorf("logged %s", got)
	}
}

// Several services of one account are a trap for policies that are made of one.
func TestSeveralServicesAreToldOf(t *testing.T) {
	m := newRules(t, nil)
	m.rule("one", "", "service", "checkout")
	m.mustLoginByRules(m.token())
	if got := m.logs.take(); len(got) != 0 {
		t.Errorf("one service: logged %v", got)
	}
	m.rule("two", "", "service", "checkout-admin")
	m.mustLoginByRules(m.token())
	m.mustLoginByRules(m.token())
	got := m.logs.one(t)
	if got.level != hclog.Warn || got.fields["services"] != "checkout,checkout-admin" || got.fields["namespace"] != "apps" {
		t.Errorf("logged %s", got)
	}
	explained := m.explained(fields{"jwt": m.token()})
	if note := fmt.Sprint(explained["note"]); !strings.Contains(note, "several services") {
		t.Errorf("the note is %q", note)
	}
}
