package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// pages are all pages of an answer, put together.
func (m *mount) pages(path string, limit int) fields {
	m.t.Helper()
	all := fields{}
	for after := ""; ; {
		o := m.do(logical.ReadOperation, path, fields{"limit": limit, "after": after})
		if o.status != http.StatusOK {
			m.t.Fatalf("reading %s: %d %s", path, o.status, o.message)
		}
		next, more := o.data["next"].(string)
		delete(o.data, "next")
		if len(o.data) > limit {
			m.t.Fatalf("a page of %d has %d entries", limit, len(o.data))
		}
		for key, line := range o.data {
			if all[key] != nil {
				m.t.Fatalf("%s is on two pages", key)
			}
			all[key] = line
		}
		if !more {
			return all
		}
		if next <= after {
			m.t.Fatalf("after %q comes %q", after, next)
		}
		after = next
	}
}

func TestAccessOfAPolicy(t *testing.T) {
	m := newDemo(t, fields{"binding_rule_role": "gate"}, nil)
	m.write("role/gate", m.role(fields{"token_policies": "admin", "bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": ""}))
	m.write("role/team.web", fields{"bound_service_accounts": "shop/web,shop/api", "token_policies": "admin,base", "selector": `pod.name matches "^web-"`})
	m.write("role/lent", fields{"only_by_binding_rules": true, "token_policies": "admin"})
	m.write("role/other", fields{"bound_service_account_names": "x", "bound_service_account_namespaces": "y", "token_policies": "base"})
	m.rule("direct", `serviceaccount.name == "web"`, "policy", "admin")
	m.rule("by-role", `serviceaccount.namespace == "ci"`, "role", "team.web")
	m.rule("template", `namespace.labels.x == "y"`, "policy", "ad${serviceaccount.name}")
	m.rule("templated-role", "*", "role", "${serviceaccount.name}")
	m.rule("elsewhere", "*", "policy", "base-${serviceaccount.name}")
	m.rule("group", "*", "group", "admin")
	m.rule("other-role", "*", "role", "other")
	want := map[string]string{
		"role/gate":                   "every login by rules, which goes through it",
		"role/team.web":               `service accounts shop/web,shop/api, if pod.name matches "^web-"`,
		"role/lent":                   "whoever binding rules bind it to",
		"binding-rule/direct":         `policy admin to serviceaccount.name == "web"`,
		"binding-rule/by-role":        `role team.web to serviceaccount.namespace == "ci", within the role's bounds`,
		"binding-rule/template":       `policy ad${serviceaccount.name} to namespace.labels.x == "y"`,
		"binding-rule/templated-role": "every service account of the cluster, where that is a role that gives it",
	}
	for _, limit := range []int{1, 3, 1000} {
		got := m.pages("access/policy/Admin", limit)
		if len(got) != len(want) {
			t.Errorf("pages of %d: got %v", limit, got)
		}
		for key, part := range want {
			if line := fmt.Sprint(got[key]); !strings.Contains(line, part) {
				t.Errorf("%s: %q, want %q", key, line, part)
			}
		}
	}
}

func TestAccessOfAServiceAccount(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.write("role/web", fields{"bound_service_account_names": "w*", "bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": `{"matchLabels":{"a":"b"}}`, "token_policies": "p", "audience": "vault"})
	m.write("role/lent", fields{"only_by_binding_rules": true, "token_policies": "admin"})
	m.rule("mine", `serviceaccount.namespace == "shop" and serviceaccount.name == "web"`, "policy", "mine")
	m.rule("not-mine", `serviceaccount.namespace == "bank" and serviceaccount.labels.x == "y"`, "policy", "not")
	m.rule("by-label", `serviceaccount.namespace == "shop" and serviceaccount.labels.x == "y"`, "policy", "label")
	m.rule("by-pod", `pod.name matches "^x"`, "role", "lent")
	got := m.pages("access/service-account/shop/web", 2)
	want := map[string]string{
		"role/web":              `policies p, if the labels of its namespace match {"matchLabels":{"a":"b"}} and the token is for one of vault`,
		"binding-rule/mine":     "policy mine",
		"binding-rule/by-label": `policy label, if serviceaccount.namespace == "shop" and serviceaccount.labels.x == "y"`,
		"binding-rule/by-pod":   `role lent, if pod.name matches "^x"`,
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for key, line := range want {
		if got[key] != line {
			t.Errorf("%s: %q, want %q", key, got[key], line)
		}
	}
	for path, message := range map[string]string{"access/service-account/shop/a%2fb": "NAMESPACE/NAME", "access/policy/p?": ""} {
		if o := m.do(logical.ReadOperation, path, nil); message != "" && (o.status != http.StatusBadRequest || !strings.Contains(o.message, message)) {
			t.Errorf("%s: %d %s", path, o.status, o.message)
		}
	}
	if o := m.do(logical.ReadOperation, "access/policy/p", fields{"limit": 0}); o.status != http.StatusBadRequest {
		t.Errorf("no entries on a page: %d", o.status)
	}
}

// TestAccessLeavesNothingOut: whatever a login is given, by whatever roles and rules, is
// in the answers about its policies and about its service account.
func TestAccessLeavesNothingOut(t *testing.T) {
	logins := 0
	for seed := range uint64(100) {
		g := newGuesses(t, seed)
		for range 8 {
			login, _, _, what := g.ask()
			if login.auth == nil {
				continue
			}
			logins++
			for _, policy := range login.auth.Policies {
				if got := g.pages("access/policy/"+policy, 100); len(got) == 0 {
					t.Fatalf("seed %d, %s: nothing gives %q", seed, what, policy)
				}
			}
			account := login.auth.Metadata["service_account_namespace"] + "/" + login.auth.Metadata["service_account_name"]
			got := g.pages("access/service-account/"+account, 100)
			used := []string{}
			if role := login.auth.Metadata["role"]; role != "" {
				used = append(used, "role/"+role)
			}
			for rule := range strings.SplitSeq(login.auth.Metadata["binding_rules"], ",") {
				if rule != "" {
					used = append(used, "binding-rule/"+rule)
				}
			}
			for _, key := range used {
				if got[key] == nil {
					t.Fatalf("seed %d, %s: %s is not in %v", seed, what, key, got)
				}
			}
		}
		g.Cleanup(t.Context())
	}
	if logins < 100 {
		t.Errorf("only %d logins were allowed", logins)
	}
}
