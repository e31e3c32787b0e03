package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// The token's metadata names what the cluster's audit log has of it.
func TestMetadataForTheAuditLog(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.api.AddPod("apps", "web-1", "node-1")
	auth := m.mustLogin(m.token(m.api.BoundToPod("web-1"), kubetest.Claim("jti", "7ee52be0-9045-4653-aa5e-0da57b8dccdc")))
	for key, want := range map[string]string{
		"pod_name": "web-1", "node_name": "node-1",
		"credential_id": "JTI=7ee52be0-9045-4653-aa5e-0da57b8dccdc",
	} {
		if got := auth.Metadata[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
		if _, ofAlias := auth.Alias.Metadata[key]; ofAlias {
			t.Errorf("%s is the alias's as well, which is written anew for each", key)
		}
	}
	if auth.Metadata["pod_uid"] == "" || auth.Metadata["node_uid"] == "" {
		t.Errorf("no uid: %v", auth.Metadata)
	}
	for _, id := range []string{"a/b", "*", "+", strings.Repeat("x", 200), "", "a b"} {
		if got, there := m.mustLogin(m.token(kubetest.Claim("jti", id))).Metadata["credential_id"]; there {
			t.Errorf("credential_id is %q for the jti %q", got, id)
		}
	}
	m.api.OnReview(func(r *authv1.TokenReview) { r.Status.User.Extra = nil }) // as before Kubernetes 1.30
	if got, there := m.mustLogin(m.token()).Metadata["credential_id"]; there {
		t.Errorf("credential_id is %q", got)
	}
}

// check lists the roles that take tokens which are good for long, or outlive their pod.
func TestCheckListsWhatRolesTake(t *testing.T) {
	for name, row := range map[string]struct {
		config        fields
		roles         map[string]fields
		rules         bool
		long, unbound string
		words         []string
	}{
		"a drop-in": {roles: map[string]fields{"demo": nil}, long: "[demo]", unbound: "[demo]", words: []string{"without an end", "without a pod"}},
		"some roles": {
			roles: map[string]fields{
				"demo": nil, "day": {"max_token_lifetime": "24h"}, "month": {"max_token_lifetime": "720h"},
				"pods": {"require_pod_bound_tokens": true}, "strict": {"max_token_lifetime": "1h", "require_pod_bound_tokens": true},
			},
			long: "[demo month pods]", unbound: "[day demo month]", words: []string{"demo, month, pods", "day, demo, month"},
		},
		"the mount asks": {
			config: fields{"max_token_lifetime": "1h", "require_pod_bound_tokens": true},
			roles:  map[string]fields{"demo": nil, "month": {"max_token_lifetime": "720h"}}, long: "[]", unbound: "[]", words: []string{"have to end within 24h"}, rules: true,
		},
		"by rules":       {roles: map[string]fields{"demo": {"max_token_lifetime": "1h", "require_pod_bound_tokens": true}}, rules: true, long: "[]", unbound: "[]", words: []string{"logins by the binding rules"}},
		"through a role": {config: fields{"binding_rule_role": "demo"}, roles: map[string]fields{"demo": {"max_token_lifetime": "1h", "require_pod_bound_tokens": true}}, rules: true, long: "[]", unbound: "[]", words: []string{"have to end"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("config", m.config(row.config))
			for role, settings := range row.roles {
				m.write("role/"+role, m.role(settings))
			}
			if row.rules {
				m.rule("r", "", "policy", "p")
			}
			data := m.checked()
			wantCheck(t, data, "token_posture", "pass", row.words...)
			if long, unbound := fmt.Sprint(data["roles_taking_long_lived_tokens"]), fmt.Sprint(data["roles_taking_unbound_tokens"]); long != row.long || unbound != row.unbound {
				t.Errorf("long-lived %s, unbound %s", long, unbound)
			}
		})
	}
}

// What a templated policy takes for a part of its path is told before it is built on.
func TestPartsOfPathsAreTold(t *testing.T) {
	m := newDemo(t, fields{"cluster_name": "eks:eu/prod"}, fields{"alias_name_source": "serviceaccount_name"})
	wantCheck(t, m.checked(), "configuration", "warn", "cluster_name has a /")
	note, _ := m.explained(fields{"role": "demo", "jwt": m.token()})["note"].(string)
	if !strings.Contains(note, "the name of the alias, cluster_name has + * or /") {
		t.Errorf("the note is %q", note)
	}
	m = newDemo(t, fields{"cluster_name": "prod"}, nil)
	if note, _ := m.explained(fields{"role": "demo", "jwt": m.token()})["note"].(string); strings.Contains(note, "templated") {
		t.Errorf("the note is %q", note)
	}
}

// Without a token it is said that the token is assumed to be what is asked for.
func TestPostureWithoutAToken(t *testing.T) {
	m := newDemo(t, fields{"max_token_lifetime": "1h"}, fields{"require_pod_bound_tokens": true})
	answer := m.write("explain", fields{"role": "demo", "service_account": "apps/web", "remote_addr": "192.0.2.1"}).data
	if answer["verdict"] != "allowed" || !strings.Contains(fmt.Sprint(answer), "that the token is as max_token_lifetime") {
		t.Errorf("%v", answer)
	}
}

// A login for a Consul token goes by the same, and by what the API server confirmed of it.
func TestPostureOfConsulLogins(t *testing.T) {
	c := newConsulMount(t, nil)
	c.rule("all", "", "consul-service", "web")
	c.api.AddPod("apps", "web-1", "node-1")
	ask := func() fields {
		return c.do(logical.UpdateOperation, "explain", fields{"jwt": c.token(c.api.BoundToPod("web-1")), "consul": true}).data
	}
	c.do(logical.PatchOperation, "config", fields{"require_pod_bound_tokens": true, "max_token_lifetime": "1h"})
	if got := ask(); got["verdict"] != "allowed" {
		t.Fatalf("%v", got)
	}
	c.api.OnReview(func(r *authv1.TokenReview) { delete(r.Status.User.Extra, "authentication.kubernetes.io/pod-uid") })
	if got := ask(); got["failed_step"] != "token posture" {
		t.Errorf("%v", got)
	}
	c.api.OnReview(nil)
	c.do(logical.PatchOperation, "config", fields{"max_token_lifetime": "10m"})
	if got := ask(); got["failed_step"] != "unverified claims" {
		t.Errorf("%v", got)
	}
}
