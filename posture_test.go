package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// The tokens that people have.
var tokensByKind = map[string]func(*mount) string{
	"an hour": func(m *mount) string { return m.token() },
	"an hour, of a pod": func(m *mount) string {
		m.api.AddPod("apps", "web-1", "node-1")
		return m.token(m.api.BoundToPod("web-1"))
	},
	"a year, of a pod": func(m *mount) string { // what each pod has by default
		m.api.AddPod("apps", "web-1", "node-1")
		return m.token(m.api.BoundToPod("web-1"), kubetest.Expiry(time.Now().Add(365*24*time.Hour)), kubetest.Claim("kubernetes.io.warnafter", 3607))
	},
	"of a node":               func(m *mount) string { return m.token(m.api.BoundToNode("node-1")) },
	"without an end":          func(m *mount) string { return m.token(kubetest.WithoutClaim("exp")) },
	"without a beginning":     func(m *mount) string { return m.token(kubetest.WithoutClaim("iat")) },
	"issued before all times": func(m *mount) string { return m.token(kubetest.Claim("iat", -1e15)) },
	"of a secret": func(m *mount) string {
		return m.api.LegacyToken("apps", "web", "web-token", kubetest.Audience("vault"))
	},
	"of a secret, with an end": func(m *mount) string {
		return m.api.LegacyToken("apps", "web", "web-token", kubetest.Audience("vault"), kubetest.Claim("iat", time.Now().Unix()), kubetest.Expiry(time.Now().Add(time.Hour)))
	},
}

// Each setting lets some kinds of tokens in and refuses others, as a setting of the mount and
// of a role, under a role and by rules, and before the API server is asked.
func TestPosture(t *testing.T) {
	for name, row := range map[string]struct {
		setting fields
		in      string // the kinds that are let in; the others are refused
		reason  map[string]string
	}{
		"nothing is asked": {fields{}, "an hour|an hour, of a pod|a year, of a pod|of a node|without an end|without a beginning|issued before all times|of a secret|of a secret, with an end", nil},
		"a day at most": {
			fields{"max_token_lifetime": "24h"}, "an hour|an hour, of a pod|of a node|of a secret, with an end",
			map[string]string{"a year, of a pod": "was issued for 87", "of a secret": "does not end", "without a beginning": "does not say for how long"},
		},
		"bound to a pod":          {fields{"require_pod_bound_tokens": true}, "an hour, of a pod|a year, of a pod", map[string]string{"an hour": "not bound to a pod"}},
		"none of a secret":        {fields{"refuse_legacy_tokens": true}, "an hour|an hour, of a pod|a year, of a pod|of a node|without an end|without a beginning|issued before all times", map[string]string{"of a secret": "lives in a secret"}},
		"all of it":               {fields{"max_token_lifetime": 3600, "require_pod_bound_tokens": true, "refuse_legacy_tokens": true}, "an hour, of a pod", nil},
		"a second less than that": {fields{"max_token_lifetime": 3599}, "", nil},
	} {
		for kind, mint := range tokensByKind {
			for _, place := range []string{"configuration", "role"} {
				t.Run(name+"/"+place+"/"+kind, func(t *testing.T) {
					m := newDemo(t, nil, nil)
					m.write("role/gate", m.role(fields{"only_by_binding_rules": true}))
					m.rule("r", "", "policy", "p")
					m.do(logical.PatchOperation, "config", fields{"binding_rule_role": "gate"})
					if place == "configuration" {
						m.do(logical.PatchOperation, "config", row.setting)
					} else {
						m.write("role/demo", row.setting)
						m.write("role/gate", row.setting)
					}
					jwt, isIn := mint(m), false
					for _, kindIn := range strings.Split(row.in, "|") {
						isIn = isIn || kindIn == kind
					}
					m.api.Forget()
					for _, role := range []string{"demo", ""} {
						got := m.explained(fields{"role": role, "jwt": jwt})
						login := m.login(role, jwt)
						if isIn {
							if got["verdict"] != "allowed" || login.auth == nil {
								t.Errorf("role %q: %v; login: %d %s", role, got, login.status, login.message)
							}
							continue
						}
						wantRefused(t, login, http.StatusForbidden)
						reason, _ := got["reason"].(string)
						if got["failed_step"] != "unverified claims" || !strings.Contains(reason, place) || !strings.Contains(reason, row.reason[kind]) || got["remedy"] == "" {
							t.Errorf("role %q: refused in %q for %q, remedy %q", role, got["failed_step"], reason, got["remedy"])
						}
						if n := len(m.api.Requests()); n > 0 {
							t.Errorf("the API server was asked %d times", n)
						}
					}
				})
			}
		}
	}
}

// What counts is what the API server confirmed: a token that says more of itself than that,
// or says it of another account, is no better for it.
func TestPostureIsTheReviews(t *testing.T) {
	for name, row := range map[string]struct {
		setting fields
		review  func(*authv1.TokenReview)
		in      bool
	}{
		"as it says": {setting: fields{"require_pod_bound_tokens": true, "max_token_lifetime": "1h", "refuse_legacy_tokens": true}, in: true},
		"the API server knows no pod": {
			setting: fields{"require_pod_bound_tokens": true},
			review:  func(r *authv1.TokenReview) { delete(r.Status.User.Extra, "authentication.kubernetes.io/pod-uid") },
		},
		"the pod alone is asked, of another account": {setting: fields{"require_pod_bound_tokens": true}, review: namedWeb2, in: true},
		"it lives an hour, of another account":       {setting: fields{"max_token_lifetime": "1h"}, review: namedWeb2},
		"it is of no secret, of another account":     {setting: fields{"refuse_legacy_tokens": true}, review: namedWeb2},
		"another uid":                                {setting: fields{"refuse_legacy_tokens": true}, review: func(r *authv1.TokenReview) { r.Status.User.UID = "x" }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, merge(fields{"bound_service_account_names": "web*"}, row.setting))
			jwt := tokensByKind["an hour, of a pod"](m)
			if row.review != nil {
				m.api.OnReview(row.review)
			}
			got := m.login("demo", jwt)
			if row.in {
				if got.auth == nil {
					t.Errorf("%d %s", got.status, got.message)
				}
				return
			}
			wantRefused(t, got, http.StatusForbidden)
			if answer := m.explained(fields{"role": "demo", "jwt": jwt}); answer["failed_step"] != "token posture" || answer["step_08_audience"] != "not reached" {
				t.Errorf("%v", answer)
			}
		})
	}
}

func namedWeb2(r *authv1.TokenReview) { r.Status.User.Username = "system:serviceaccount:apps:web2" }

// A role that a rule binds is left out for tokens that it does not take, at login and at
// renewal, and the mount's own posture ends both.
func TestPostureOfRolesThatRulesBind(t *testing.T) {
	m := newDemo(t, fields{"renewal_check": "none"}, nil)
	m.write("role/strict", m.role(fields{"token_policies": "strict", "max_token_lifetime": "1h", "refuse_legacy_tokens": true}))
	m.rule("base", "", "policy", "base")
	m.rule("more", "", "role", "strict")
	short, long := m.token(), m.token(kubetest.Expiry(time.Now().Add(2*time.Hour)))
	auth := m.mustLoginByRules(short)
	wantPolicies := func(auth *logical.Auth, want string) {
		t.Helper()
		if got := strings.Join(auth.Policies, ","); got != want {
			t.Errorf("policies are %q, want %q", got, want)
		}
	}
	wantPolicies(auth, "base,strict")
	wantPolicies(m.mustLoginByRules(long), "base")
	if o := m.renew(throughJSON(t, auth)); o.status != http.StatusOK {
		t.Errorf("renewal: %d %s", o.status, o.message)
	}
	before := *auth
	before.InternalData = throughJSON(t, auth).InternalData
	delete(before.InternalData, "token_kind") // of a lease from before there was any
	if o := m.renew(&before); o.status == http.StatusOK && o.auth != nil {
		t.Errorf("a token of which nothing is known was renewed with what the role gave: %+v", o)
	}
	m.write("role/strict", fields{"require_pod_bound_tokens": true})
	if o := m.renew(throughJSON(t, auth)); o.status == http.StatusOK && o.auth != nil {
		t.Errorf("renewed with what the role gives no more: %+v", o)
	}
	m.do(logical.DeleteOperation, "binding-rule/more", nil)
	auth = m.mustLoginByRules(short)
	m.do(logical.PatchOperation, "config", fields{"require_pod_bound_tokens": true})
	wantRefused(t, m.loginByRules(short), http.StatusForbidden)
	if o := m.renew(throughJSON(t, auth)); o.status == http.StatusOK && o.auth != nil {
		t.Errorf("renewed by a mount that takes such tokens no more: %+v", o)
	}
}

// throughJSON is what the host keeps of a login.
func throughJSON(t *testing.T, auth *logical.Auth) *logical.Auth {
	t.Helper()
	text, err := json.Marshal(auth.InternalData)
	if err != nil {
		t.Fatal(err)
	}
	kept := *auth
	kept.InternalData = nil
	if err := json.Unmarshal(text, &kept.InternalData); err != nil {
		t.Fatal(err)
	}
	return &kept
}

func TestPostureThatNobodyCanMean(t *testing.T) {
	m := newDemo(t, nil, nil)
	for _, value := range []any{"500ms", "1s", 599, -1, "1.5h30ms", "010x", 1e12, "forever"} {
		for _, path := range []string{"config", "role/demo"} {
			data := fields{"max_token_lifetime": value}
			if path == "config" {
				data = m.config(data)
			}
			if o := m.do(logical.UpdateOperation, path, data); o.status != http.StatusBadRequest {
				t.Errorf("%s: %v was taken: %d %s", path, value, o.status, o.message)
			}
		}
	}
	m.write("role/demo", fields{"max_token_lifetime": "2h"})
	o := m.write("role/demo", fields{"max_token_lifetime": ""})
	if len(o.warnings) == 0 || !strings.Contains(strings.Join(o.warnings, " "), "max_token_lifetime") {
		t.Errorf("nothing was said of a bound that went: %q", o.warnings)
	}
}
