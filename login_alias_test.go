package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/metadata"
)

// front and runner are two pods of the account web.
func (m *mount) pod(name string) string {
	m.t.Helper()
	m.api.AddPod("apps", name, "node-"+name)
	return m.token(m.api.BoundToPod(name))
}

// Logins of one account share an alias, and with it the entity, if and only if they
// are granted the same of what the entity bears.
func TestAliasOfRules(t *testing.T) {
	for name, row := range map[string]struct {
		bindType, bindName string
		shared             bool
	}{
		"group":           {"group", "runners", false},
		"service":         {"service", "runner", false},
		"node":            {"node", "n1", false},
		"policy":          {"policy", "runner", true},
		"a role":          {"role", "lent", true},
		"group of a name": {"group", "${pod.name}", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.write("role/lent", fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*"})
			m.rule("all", "", "policy", "base")
			m.rule("runners", `pod.name matches "^runner-"`, row.bindType, row.bindName)
			front, runner := m.mustLoginByRules(m.pod("front-1")), m.mustLoginByRules(m.pod("runner-1"))
			if got := front.Alias.Name == runner.Alias.Name; got != row.shared {
				t.Errorf("aliases %q and %q", front.Alias.Name, runner.Alias.Name)
			}
			again := m.mustLoginByRules(m.pod("runner-1"))
			if again.Alias.Name != runner.Alias.Name || !maps.Equal(again.Alias.Metadata, runner.Alias.Metadata) {
				t.Errorf("the same login again: %+v, before: %+v", again.Alias, runner.Alias)
			}
			if role := m.mustLogin(m.token()); role.Alias.Name == front.Alias.Name || role.Alias.Name == runner.Alias.Name {
				t.Errorf("the alias %q is that of the role as well", role.Alias.Name)
			}
			wantAgreement(t, m, fields{"jwt": m.pod("runner-1")})
		})
	}
}

// What the secret of a token is called is alias metadata, and tokens of one account
// differ in it.
func TestAliasOfRulesAndTheSecret(t *testing.T) {
	m := newRules(t, fields{"binding_rule_audiences": nil})
	m.rule("all", "", "policy", "base")
	projected := m.mustLoginByRules(m.api.Token("apps", "web"))
	legacy := m.mustLoginByRules(m.api.LegacyToken("apps", "web", "web-token"))
	if projected.Alias.Name == legacy.Alias.Name || legacy.Alias.Metadata[metadata.SecretName] != "web-token" {
		t.Errorf("aliases %+v and %+v", projected.Alias, legacy.Alias)
	}
}

// A role's alias_metadata is custom metadata of the alias of its logins, and of no
// alias of a login by rules.
func TestAliasMetadataOfRolesStaysTheirs(t *testing.T) {
	m := newDemo(t, nil, fields{"alias_metadata": map[string]any{"team": "ops"}})
	m.rule("all", "", "policy", "base")
	m.rule("role", "", "role", "demo")
	role, rules := m.mustLogin(m.token()), m.mustLoginByRules(m.token())
	if role.Alias.CustomMetadata["team"] != "ops" || len(rules.Alias.CustomMetadata) > 0 || role.Alias.Name == rules.Alias.Name {
		t.Errorf("role %+v, rules %+v", role.Alias, rules.Alias)
	}
	if !slices.Contains(rules.Policies, "p1") {
		t.Errorf("the role did not join: %q", rules.Policies)
	}
}

// A renewal answers with the groups of its own login: the host dropped from the lease
// those that did not exist then, and goes by the answer.
func TestRenewalKeepsTheGroupsOfItsLogin(t *testing.T) {
	for _, outage := range []bool{false, true} {
		m := newRules(t, nil)
		m.rule("group", "", "group", "team")
		m.rule("label", `namespace.labels.x == "y"`, "policy", "p")
		auth := m.mustLoginByRules(m.token())
		auth.GroupAliases = nil
		if outage {
			m.api.Fail(kubetest.Status(http.StatusInternalServerError))
		}
		got := m.renew(auth)
		if got.auth == nil || len(got.auth.GroupAliases) != 1 || got.auth.GroupAliases[0].Name != "team" {
			t.Errorf("renewed to %+v, %s", got.auth, got.message)
		}
	}
}

// What counted at login counts at renewal: the address that the login came from, and
// not whoever renews.
func TestRenewalGoesByTheAddressOfTheLogin(t *testing.T) {
	for name, row := range map[string]struct {
		renewer string
		change  fields // of the role here
		ok      bool
	}{
		"from the same":   {"192.0.2.1", nil, true},
		"from elsewhere":  {"10.0.0.1", nil, true},
		"tightened since": {"10.0.0.1", fields{"token_bound_cidrs": "10.0.0.0/8"}, false},
		"widened since":   {"10.0.0.1", fields{"token_bound_cidrs": "192.0.0.0/8"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRules(t, nil)
			bound := fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}
			m.write("role/here", merge(maps.Clone(bound), fields{"token_bound_cidrs": "192.0.2.0/24", "token_policies": "here"}))
			m.write("role/there", merge(maps.Clone(bound), fields{"token_bound_cidrs": "10.0.0.0/8", "token_policies": "there"}))
			m.rule("here", "", "role", "here")
			m.rule("there", "", "role", "there")
			m.rule("base", "", "policy", "base")
			auth := m.mustLoginByRules(m.token())
			if !slices.Equal(auth.Policies, []string{"base", "here"}) {
				t.Fatalf("policies %q", auth.Policies)
			}
			m.write("role/here", row.change)
			request := &logical.Request{
				Operation: logical.RenewOperation, Path: "login", Auth: auth, Storage: m.storage, MountPoint: "auth/test/",
				Connection: &logical.Connection{RemoteAddr: row.renewer},
			}
			response, err := m.HandleRequest(t.Context(), request)
			if got := outcomeOf(request, response, err); (got.auth != nil) != row.ok {
				t.Errorf("renewed: %t, want %t; %s", got.auth != nil, row.ok, got.message)
			}
		})
	}
}

// A look-up that was not allowed, or that found nothing, refuses the login, whoever's
// credential it was made with: a role that might have narrowed what other rules grant
// is not left out for it.
func TestLookUpThatFailsNeverDropsARole(t *testing.T) {
	selector := `{"matchLabels":{"team":"ci"}}`
	for name, row := range map[string]struct {
		role     fields
		reviewer bool
		prepare  func(m *mount)
	}{
		"namespaces not allowed, no reviewer": {role: fields{"bound_service_account_namespace_selector": selector}},
		"namespaces not allowed, reviewer": {
			role: fields{"bound_service_account_namespace_selector": selector}, reviewer: true,
			prepare: func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.Namespaces) },
		},
		"selector, no reviewer": {role: fields{"bound_service_account_namespaces": "*", "selector": `serviceaccount.labels.x == "y"`}},
		"namespace is gone, no reviewer": {
			role: fields{"bound_service_account_namespace_selector": selector},
			prepare: func(m *mount) {
				m.api.Grant("apps", "web", kubetest.Namespaces)
				m.api.Fail(kubetest.Status(http.StatusNotFound), kubetest.Namespaces)
			},
		},
		"credential rejected, no reviewer": {
			role:    fields{"bound_service_account_namespace_selector": selector},
			prepare: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusUnauthorized), kubetest.Namespaces) },
		},
		"account is not found": {
			role: fields{"bound_service_account_namespaces": "*", "selector": `serviceaccount.labels.x == "y"`}, reviewer: true,
			prepare: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusNotFound), kubetest.ServiceAccounts) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := fields{"binding_rule_audiences": nil}
			if !row.reviewer {
				config["token_reviewer_jwt"] = nil
			}
			m := newRules(t, config)
			m.api.Grant("apps", "web", kubetest.TokenReviews)
			m.write("role/strict", merge(fields{"bound_service_account_names": "*", "token_num_uses": 1, "token_policies": "strict"}, row.role))
			m.rule("base", "", "policy", "base")
			m.rule("strict", "", "role", "strict")
			if row.prepare != nil {
				row.prepare(m)
			}
			m.logs.Take()
			wantRefused(t, m.loginByRules(m.api.Token("apps", "web")), http.StatusForbidden)
			if logged := m.logs.One(t); logged.Fields["step"] != "binding rules" || strings.Contains(logged.String(), "warn") != row.reviewer && name != "account is not found" {
				t.Errorf("logged %s", logged)
			}
			wantAgreement(t, m, fields{"jwt": m.api.Token("apps", "web")})
		})
	}
}
