package consul

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// rolePolicy begins the name of the policy that each of the plugin's roles gives,
// by which a login shows that the role was bound.
const rolePolicy = "bound-role-"

// pluginMount is a mount of the plugin in Vault.
type pluginMount struct {
	client *vault.Client
	path   string // begins with auth/
	rules  *int   // written so far, for their names
}

// newPluginMount makes a mount that has Consul's roles. Save for roleBounds, they
// leave it to the rules who gets them: a Consul role has no bounds of its own.
func (f *fixture) newPluginMount(t *testing.T) pluginMount {
	t.Helper()
	f.methods++
	name := fmt.Sprintf("method-%d", f.methods)
	err := f.vault.Sys().EnableAuthWithOptionsWithContext(t.Context(), name, &vault.EnableAuthOptions{Type: testbed.PluginName})
	if err != nil {
		t.Fatal(err)
	}
	m := pluginMount{client: f.vault, path: "auth/" + name, rules: new(int)}
	m.must(t, "config", map[string]any{
		"kubernetes_host":         f.cluster.Host,
		"kubernetes_ca_cert":      f.cluster.CAPEM,
		"token_reviewer_jwt":      f.reviewerJWT,
		"disable_local_ca_jwt":    true,
		"service_name_annotation": serviceNameAnnotation,
	})
	for _, role := range roles {
		if slices.Contains(consulOnlyRoles, role) {
			continue
		}
		data := map[string]any{"only_by_binding_rules": true, "token_policies": rolePolicy + role}
		if namespaces := roleBounds[role]; namespaces != "" {
			data["bound_service_account_names"], data["bound_service_account_namespaces"] = "*", namespaces
		}
		m.must(t, "role/"+role, data)
	}
	return m
}

func (m pluginMount) must(t *testing.T, path string, data map[string]any) {
	t.Helper()
	if _, err := m.client.Logical().WriteWithContext(t.Context(), m.path+"/"+path, data); err != nil {
		t.Fatal(err)
	}
}

func (m pluginMount) write(t *testing.T, r rule) (refusal string) {
	t.Helper()
	*m.rules++
	path := fmt.Sprintf("%s/binding-rule/rule-%d", m.path, *m.rules)
	_, err := m.client.Logical().WriteWithContext(t.Context(), path, map[string]any{
		"selector":  cmp.Or(r.selector, "*"),
		"bind_type": r.bindType,
		"bind_name": r.bindName,
		// Consul's rules all see the annotation.
		"use_service_name_annotation": true,
	})
	if err == nil {
		return ""
	}
	var answer *vault.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusBadRequest {
		t.Fatal(err)
	}
	return strings.Join(answer.Errors, "; ")
}

func (m pluginMount) login(t *testing.T, jwt string) outcome {
	t.Helper()
	client, err := m.client.Clone()
	if err != nil {
		t.Fatal(err)
	}
	client.ClearToken() // whoever logs in has none
	secret, err := client.Logical().WriteWithContext(t.Context(), m.path+"/login", map[string]any{"jwt": jwt})
	if err != nil {
		var answer *vault.ResponseError
		if !errors.As(err, &answer) || answer.StatusCode != m.refusalStatus() {
			t.Fatalf("a login failed for a reason that no rule gives: %v", err)
		}
		return refusedByPlugin
	}
	names := map[string][]string{
		"service": split(secret.Auth.Metadata["consul_service"]),
		"node":    split(secret.Auth.Metadata["consul_node"]),
	}
	for _, p := range secret.Auth.TokenPolicies {
		if role, ok := strings.CutPrefix(p, rolePolicy); ok {
			names["role"] = append(names["role"], role)
		} else if p != "default" { // which every token gets
			names["policy"] = append(names["policy"], p)
		}
	}
	if len(bound(names)) == 0 {
		t.Fatalf("a login is allowed that binds nothing: policies %q, metadata %v",
			secret.Auth.TokenPolicies, slices.Sorted(maps.Keys(secret.Auth.Metadata)))
	}
	return bound(names)
}

// refusalStatus is the status of a refusal: without any rules the plugin asks for
// a role, as Vault's own method does.
func (m pluginMount) refusalStatus() int {
	if *m.rules == 0 {
		return http.StatusBadRequest
	}
	return http.StatusForbidden
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
