package main

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// renew asks for a renewal as Vault does, with what it kept of a login.
func (m *mount) renew(auth *logical.Auth) outcome {
	m.t.Helper()
	request := &logical.Request{Operation: logical.RenewOperation, Path: "login", Auth: auth, Storage: m.storage, MountPoint: "auth/test/"}
	response, err := m.HandleRequest(m.t.Context(), request)
	return outcomeOf(request, response, err)
}

func TestRenew(t *testing.T) {
	m := newDemo(t, nil, fields{"token_ttl": 600, "token_max_ttl": 1200})
	auth := m.mustLogin(m.token())
	if o := m.renew(auth); o.status != http.StatusOK || o.auth.TTL != 10*time.Minute || o.auth.MaxTTL != 20*time.Minute || o.auth.Period != 0 {
		t.Errorf("%d %s, auth %+v", o.status, o.message, o.auth)
	}
	// The settings of today count.
	m.write("role/demo", fields{"token_ttl": 60, "token_max_ttl": 120, "token_period": 30})
	o := m.renew(auth)
	if o.status != http.StatusOK || o.auth.TTL != time.Minute || o.auth.MaxTTL != 2*time.Minute || o.auth.Period != 30*time.Second {
		t.Errorf("%d %s, auth %+v", o.status, o.message, o.auth)
	}
	if o.auth.Alias.Name != auth.Alias.Name || o.auth.Metadata["service_account_name"] != "web" {
		t.Errorf("the identity changed: %+v", o.auth)
	}
}

// A lease that Vault's own method granted knows the role and nothing else.
func TestRenewALeaseOfVault(t *testing.T) {
	m := newMount(t)
	m.stored("config", vaultConfig)
	m.stored("role/demo", vaultRoleOldest)
	for _, role := range []string{"demo", "Demo"} {
		o := m.renew(&logical.Auth{InternalData: fields{"role": role}, LeaseOptions: logical.LeaseOptions{TTL: time.Second, Renewable: true}})
		if o.status != http.StatusOK || o.auth.TTL != 20*time.Minute || o.auth.MaxTTL != time.Hour || o.auth.Period != 10*time.Minute {
			t.Errorf("%s: %d %s, auth %+v", role, o.status, o.message, o.auth)
		}
	}
}

func TestRenewRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		before func(*mount)
		data   fields
	}{
		"role is gone":            {before: func(m *mount) { m.do(logical.DeleteOperation, "role/demo", nil) }, data: fields{"role": "demo"}},
		"no role in the lease":    {data: fields{}},
		"empty role in the lease": {data: fields{"role": ""}},
		"no data in the lease":    {data: nil},
		"role is a number":        {data: fields{"role": 1}},
		"storage fails": {
			before: func(m *mount) { m.InvalidateKey(m.t.Context(), "role/demo"); m.storage.fail("role/") }, data: fields{"role": "demo"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.mustLogin(m.token())
			if row.before != nil {
				row.before(m)
			}
			if o := m.renew(&logical.Auth{InternalData: row.data}); o.err == nil || o.auth != nil {
				t.Errorf("%d, auth %+v", o.status, o.auth)
			}
		})
	}
}

func TestRenewPassesStorageErrorsOn(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.storage.fail("role/")
	if o := m.renew(&logical.Auth{InternalData: fields{"role": "demo"}}); !errors.Is(o.err, errStorage) {
		t.Errorf("the error is %v", o.err)
	}
}

// A look at a cluster that does not answer ends before the token does: a quarter of its life
// leaves no time for a second attempt.
func TestRenewalLooksNoLongerThanTheTokenLives(t *testing.T) {
	for name, byRules := range map[string]bool{"by role": false, "by rules": true} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, fields{"request_timeout": 60}, fields{"token_ttl": 4})
			m.rule("r", "serviceaccount.annotations.x is empty", "policy", "p")
			m.api.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.ServiceAccounts)
			jwt := m.token()
			auth := m.mustLogin(jwt)
			if byRules {
				auth = m.mustLoginByRules(jwt)
			}
			auth.TTL = 4 * time.Second
			m.api.Forget()
			m.logs.Take()
			m.api.Fail(kubetest.Hang())
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // a look at leisure takes two minutes
			defer cancel()
			request := &logical.Request{Operation: logical.RenewOperation, Path: "login", Auth: auth, Storage: m.storage, MountPoint: "auth/test/"}
			response, err := m.HandleRequest(ctx, request)
			if o := outcomeOf(request, response, err); o.status != http.StatusOK || ctx.Err() != nil {
				t.Errorf("%d %s, %v", o.status, o.message, ctx.Err())
			}
			if got := m.api.Count(kubetest.ServiceAccounts); got != 1 {
				t.Errorf("%d attempts at a look, want one", got)
			}
		})
	}
}
