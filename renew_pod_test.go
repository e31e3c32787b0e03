package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// With renewal_check=pod a renewal looks at the pod that logged in as well, under a role and
// by rules alike.
func TestRenewalCheckOfPods(t *testing.T) {
	for name, row := range map[string]struct {
		config  fields
		unbound bool
		change  func(m *mount)
		ok      bool
		warns   string
		asked   int // for the pod
	}{
		"nothing changed":  {change: func(*mount) {}, ok: true, asked: 1},
		"pod deleted":      {change: func(m *mount) { m.api.DeletePod("apps", "web-1") }, asked: 1},
		"pod made anew":    {change: func(m *mount) { m.api.DeletePod("apps", "web-1"); m.api.AddPod("apps", "web-1", "node-1") }, asked: 1},
		"pod on its way":   {change: func(m *mount) { m.api.BeginDeletion(kubetest.Pods, "apps", "web-1", time.Hour) }, ok: true, asked: 1},
		"account deleted":  {change: func(m *mount) { m.api.DeleteServiceAccount("apps", "web") }},
		"login of no pod":  {unbound: true, change: func(m *mount) { m.api.DeletePod("apps", "web-1") }, ok: true},
		"API server fails": {change: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError), kubetest.Pods) }, ok: true, warns: "at their pods", asked: 1},
		"API server is away": {
			change: func(m *mount) { m.api.Fail(kubetest.CloseConnection()) }, ok: true, warns: "at their service accounts", asked: 2,
		},
		"permission missing": {
			change: func(m *mount) { m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Pods) },
			ok:     true, warns: "deploy/components/pods", asked: 1,
		},
		"permission for accounts missing": {
			change: func(m *mount) {
				m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.ServiceAccounts)
				m.api.DeletePod("apps", "web-1")
			},
			warns: "at their service accounts", asked: 1,
		},
		"pod deleted, as by default": {config: fields{"renewal_check": nil}, change: func(m *mount) { m.api.DeletePod("apps", "web-1") }, ok: true},
	} {
		for _, by := range []string{"role", "rules"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				m := newLocal(t, merge(fields{"renewal_check": "pod"}, row.config))
				auth := m.loginBy(by, row.unbound)
				row.change(m)
				m.logs.Take()
				before := m.api.Count(kubetest.Pods)
				got := m.renew(auth)
				if (got.auth != nil) != row.ok || !row.ok && (got.status != http.StatusBadRequest || !strings.Contains(got.message, "log in again")) {
					t.Errorf("renewed: %t, want %t; %d %s", got.auth != nil, row.ok, got.status, got.message)
				}
				if asked := m.api.Count(kubetest.Pods) - before; asked != row.asked {
					t.Errorf("the pod was asked for %d times, want %d", asked, row.asked)
				}
				if logged := fmt.Sprint(m.logs.Take()); strings.Contains(logged, "[warn]") != (row.warns != "") || !strings.Contains(logged, row.warns) {
					t.Errorf("want a warning with %q, logged: %s", row.warns, logged)
				}
			})
		}
	}
}

func (m *mount) loginBy(by string, unbound bool) *logical.Auth {
	m.t.Helper()
	token := m.boundToken()
	if unbound {
		token = m.token()
	}
	if by == "role" {
		return m.mustLogin(token)
	}
	m.rule("base", "", "policy", "base")
	return m.mustLoginByRules(token)
}

// A token of Vault's own method says nothing of a pod, and is renewed by its service account.
func TestRenewalCheckOfTokensWithoutAPod(t *testing.T) {
	m := newLocal(t, fields{"renewal_check": "pod"})
	auth := m.mustLogin(m.boundToken())
	delete(auth.Metadata, "pod_name")
	delete(auth.Metadata, "pod_uid")
	m.api.DeletePod("apps", "web-1")
	if got := m.renew(auth); got.auth == nil || m.api.Count(kubetest.Pods) != 0 {
		t.Errorf("%d %s", got.status, got.message)
	}
	m.api.DeleteServiceAccount("apps", "web")
	if got := m.renew(auth); got.auth != nil {
		t.Error("renewed although the service account is gone")
	}
}

// until tries until something is so, which a watch tells a moment later.
func (m *mount) until(what string, is func() bool) {
	m.t.Helper()
	for range 10_000 {
		if is() {
			return
		}
	}
	m.t.Fatalf("never: %s", what)
}

// What follows the cluster knows without a request who is gone, and asks where it does not.
func TestRenewalCheckWhileFollowing(t *testing.T) {
	m := newLocal(t, fields{"verification": "live", "renewal_check": "pod"})
	m.api.AddPod("apps", "web-2", "")
	m.api.AddPod("apps", "web-3", "")
	auth := map[string]*logical.Auth{}
	m.follow(t)
	for _, pod := range []string{"web-1", "web-2", "web-3"} {
		auth[pod] = m.mustLogin(m.token(m.api.BoundToPod(pod)))
	}
	asked := func() int { return m.api.Count(kubetest.Pods) + m.api.Count(kubetest.ServiceAccounts) }
	before := asked()
	for pod, a := range auth {
		if got := m.renew(a); got.auth == nil {
			t.Errorf("%s: %d %s", pod, got.status, got.message)
		}
	}
	if now := asked(); now != before {
		t.Errorf("%d requests for three renewals", now-before)
	}
	m.api.DeletePod("apps", "web-1")
	m.api.BeginDeletion(kubetest.Pods, "apps", "web-2", time.Hour)
	m.until("the deletion is known", func() bool { return m.renew(auth["web-1"]).auth == nil })
	before = asked()
	if got := m.renew(auth["web-1"]); got.auth != nil || asked() != before {
		t.Errorf("of a pod that is gone: %d %s, %d requests", got.status, got.message, asked()-before)
	}
	m.until("the beginning of a deletion is known", func() bool {
		before := m.api.Count(kubetest.Pods)
		got := m.renew(auth["web-2"])
		return got.auth != nil && m.api.Count(kubetest.Pods) == before+1 // it is in doubt
	})
	m.api.DeleteServiceAccount("apps", "web")
	m.until("the deletion of the account is known", func() bool { return m.renew(auth["web-3"]).auth == nil })
}
