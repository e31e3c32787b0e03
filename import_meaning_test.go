package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/consul"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/rules"
)

// accounts are service accounts that call themselves each other by annotations.
func accounts(t testing.TB) (ids []identity.Identity, annotations []map[string]string) {
	t.Helper()
	for _, namespace := range []string{"shop", "bank"} {
		for name, claims := range map[string]string{"web": "db", "db": "web", "own": "own"} {
			id, err := identity.FromLeaseMetadata(namespace, name, namespace+"-"+name, identity.Object{})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
			annotations = append(annotations, map[string]string{consul.ServiceNameAnnotation: claims, "example.com/name": "admin"})
		}
	}
	return ids, annotations
}

// meanings is what each rule and each role's selector says of each account.
func (m *mount) meanings() map[string]string {
	m.t.Helper()
	said := map[string]string{}
	config, err := config.Read(m.t.Context(), m.storage)
	if err != nil {
		m.t.Fatal(err)
	}
	set, err := m.rules.Get(m.t.Context(), m.storage)
	if err != nil {
		m.t.Fatal(err)
	}
	ids, annotations := accounts(m.t)
	for i, id := range ids {
		attributes := binding.NewAttributes(id, binding.Context{ConsulNamespace: config.ConsulNamespace(id.Namespace())})
		attributes.SetServiceAccount(nil, annotations[i])
		attributes.SetNamespace(nil)
		nothing := func(context.Context, binding.Source) error { return nil }
		account, _, _ := set.Explain(m.t.Context(), attributes.ForRules(config.ServiceNameAnnotation), nothing)
		for _, rule := range account {
			said["rule "+rule.Rule+" of "+id.UID()] = fmt.Sprint(rule.Outcome, rule.Name, rule.Reason)
		}
		roles, _ := m.do(logical.ListOperation, "role/", nil).data["keys"].([]string) // absent where there is none
		for _, name := range roles {
			r, err := m.loadRole(m.t.Context(), m.storage, name, nil)
			if err != nil {
				m.t.Fatal(err)
			}
			if r.Selector == nil { // the one that the import made
				continue
			}
			said["role "+name+" of "+id.UID()] = fmt.Sprint(r.Selector.Evaluate(attributes).Matched)
		}
	}
	return said
}

func (m *mount) entryText(key string) string {
	m.t.Helper()
	entry, err := m.storage.Get(m.t.Context(), key)
	if err != nil || entry == nil {
		m.t.Fatalf("%s: %v", key, err)
	}
	return string(entry.Value)
}

// everything is what is stored, by key.
func (m *mount) everything() map[string]string {
	m.t.Helper()
	stored := map[string]string{}
	for _, folder := range []string{"", role.Prefix, rules.Prefix} {
		keys, err := m.storage.List(m.t.Context(), folder)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, key := range keys {
			if key = folder + key; key[len(key)-1] != '/' {
				stored[key] = m.entryText(key)
			}
		}
	}
	return stored
}

// An import changes nothing about rules and roles that it did not bring, whatever the
// mount was configured for; else it is refused and changes nothing at all.
func TestImportKeepsTheMeaningOfOtherRules(t *testing.T) {
	m := newMount(t)
	outcomes := map[int]int{}
	for seed := range uint64(250) {
		r := rand.New(rand.NewPCG(seed, 11))
		pick := func(words ...string) string { return words[r.IntN(len(words))] }
		for key := range m.everything() {
			if err := m.storage.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			m.InvalidateKey(t.Context(), key)
		}
		mapping := func() fields {
			return []fields{{}, {}, {"map_namespaces": true}, {"map_namespaces": true, "consul_namespace_prefix": "k8s-"}, {"map_namespaces": true, "consul_namespace_overrides": "shop=retail"}}[r.IntN(5)]
		}
		config := merge(mapping(), fields{"service_name_annotation": pick("", "", consul.ServiceNameAnnotation, "example.com/name")})
		m.write("config", m.config(config))
		selectors := []string{
			"*", `serviceaccount.name == "web"`, `serviceaccount.name != "db" and serviceaccount.namespace == "shop"`, `serviceaccount.name matches "^ad"`,
			`serviceaccount.namespace == "bank"`, `consul.namespace == "k8s-shop"`, `not (pod.name == "x" or consul.namespace is empty)`, `consul.namespace != "retail"`,
		}
		for i := range 1 + r.IntN(3) {
			m.write(fmt.Sprint("binding-rule/own-", i), fields{
				"selector": selectors[r.IntN(len(selectors)-r.IntN(2)*3)], "bind_type": "group", "bind_name": pick("g", "g", "${serviceaccount.name}", "${consul.namespace}"),
				"use_service_name_annotation": r.IntN(3) == 0,
			})
		}
		if r.IntN(3) == 0 {
			m.write("role/r", m.role(fields{"selector": pick(`consul.namespace == "retail"`, `serviceaccount.name == "web"`)}))
		}
		before, stored := m.meanings(), m.everything()
		method := fmt.Sprintf(`{"Name":"k8s","Type":"kubernetes","Config":{"Host":%q,"CACert":%q,"ServiceAccountJWT":%q,"MapNamespaces":%s,"ConsulNamespacePrefix":%q}}`,
			m.api.URL, m.api.CAPEM, m.api.Reviewer, pick("true", "false"), pick("", "k8s-"))
		got := m.do(logical.UpdateOperation, "import/consul", fields{
			"tokens": "vault", "auth_method": method, "binding_rules": "[" + consulRule("x", "serviceaccount.name==web", "service", "${serviceaccount.name}") + "]",
			"replace_configuration": r.IntN(2) == 0,
		})
		outcomes[got.status]++
		if got.status != http.StatusOK {
			if !maps.Equal(stored, m.everything()) {
				t.Fatalf("seed %d: refused with %q, and storage changed", seed, got.message)
			}
			continue
		}
		after := m.meanings()
		for what, said := range before {
			if after[what] != said {
				t.Fatalf("seed %d, %v: %s was %q and is %q", seed, config, what, said, after[what])
			}
		}
	}
	if outcomes[http.StatusOK] < 40 || outcomes[http.StatusBadRequest] < 40 {
		t.Errorf("the generator is lopsided: %v", outcomes)
	}
}
