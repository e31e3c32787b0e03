package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/role"
)

// sameKubernetesHost tells whether two values of kubernetes_host are for the same
// API server, however they are written.
func sameKubernetesHost(a, b string) bool {
	if a == b {
		return true
	}
	hostA, errA := kube.ParseHost(a)
	hostB, errB := kube.ParseHost(b)
	return errA == nil && errB == nil && strings.TrimSuffix(hostA.String(), "/") == strings.TrimSuffix(hostB.String(), "/")
}

// mapsAlike tells whether two configurations map all namespaces to the same ones of
// Consul's.
func (c *configEntry) mapsAlike(other *configEntry) bool {
	if !c.MapNamespaces || !other.MapNamespaces {
		return c.MapNamespaces == other.MapNamespaces
	}
	return c.ConsulNamespacePrefix == other.ConsulNamespacePrefix && maps.Equal(c.ConsulNamespaceOverrides, other.ConsulNamespaceOverrides)
}

// replaces says what of a mount that is in use would be replaced by a configuration
// that was made for something else.
func (c *configEntry) replaces(before *configEntry) (conflicts []string) {
	if !sameKubernetesHost(before.Host, c.Host) {
		conflicts = append(conflicts, fmt.Sprintf("the mount is configured for %s, and the auth method is for %s; with replace_configuration=true all of the mount's roles and rules are for that cluster from then on", before.Host, c.Host))
	}
	if before.MapNamespaces && !c.mapsAlike(before) {
		conflicts = append(conflicts, "the mount maps namespaces to Consul in another way than the auth method, and consul_namespace in the metadata of all its tokens would change; with replace_configuration=true it does")
	}
	return conflicts
}

// changedMeanings says which roles and rules that the import does not write would mean
// something else after it.
func (b *backend) changedMeanings(ctx context.Context, s logical.Storage, plan *importPlan, before *configEntry) (conflicts []string, err error) {
	if before.ServiceNameAnnotation == plan.config.ServiceNameAnnotation && plan.config.mapsAlike(before) {
		return nil, nil
	}
	rules, err := b.rules.Get(ctx, s)
	if err != nil {
		return nil, err
	}
	written := plan.keys()
	others := func(names []string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return written[ruleKey(name)] })
	}
	if names := others(rules.DependingOnAnnotation()); len(names) > 0 && before.ServiceNameAnnotation != plan.config.ServiceNameAnnotation {
		conflicts = append(conflicts, fmt.Sprintf("the import sets service_name_annotation to %s, it is %q, and these rules of the mount would see other names: %s",
			plan.config.ServiceNameAnnotation, before.ServiceNameAnnotation, some(names)))
	}
	if plan.config.mapsAlike(before) {
		return conflicts, nil
	}
	if names := others(rules.DependingOnConsulNamespace()); len(names) > 0 {
		conflicts = append(conflicts, "the import changes how namespaces are mapped to Consul, and these rules of the mount depend on consul.namespace: "+some(names))
	}
	names, err := rolesDependingOnConsulNamespace(ctx, s)
	if len(names) > 0 {
		conflicts = append(conflicts, "the import changes how namespaces are mapped to Consul, and these roles of the mount depend on consul.namespace: "+some(names))
	}
	return conflicts, err
}

// rolesDependingOnConsulNamespace are those whose selector does. A role or a selector
// that cannot be read admits nobody, before and after.
func rolesDependingOnConsulNamespace(ctx context.Context, s logical.Storage) (names []string, err error) {
	stored, err := s.List(ctx, rolePrefix)
	if err != nil {
		return nil, err
	}
	for _, name := range stored {
		entry, err := s.Get(ctx, rolePrefix+name)
		if err != nil {
			return nil, err
		}
		r := &role.Entry{}
		if entry == nil || entry.DecodeJSON(r) != nil {
			continue
		}
		selector, err := binding.CompileSelector(r.Selector)
		if err == nil && selector.DependsOnConsulNamespace() {
			names = append(names, name)
		}
	}
	return names, nil
}

// powerfulNames are names that policies have which may do nearly everything, and
// those that Consul itself gives. In Vault they may be somebody's already, or become so.
var powerfulNames = []string{
	"global-management", "builtin/global-read-only", "admin", "admins", "administrator", "administrators", "superuser", "super-user",
	"sudo", "operator", "operators", "ops", "vault-admin", "hcp-root", "root", "default",
}

// importWarning says what the name that an imported rule binds means in Vault, where
// it need not be what it meant in Consul; "" if there is nothing to say.
func (b *backend) importWarning(ctx context.Context, s logical.Storage, options importOptions, entry *ruleEntry) string {
	switch binding.BindType(entry.BindType) {
	case binding.BindPolicy:
		return options.policyWarning(entry.BindName)
	case binding.BindRole:
		if strings.Contains(entry.BindName, "${") {
			return ""
		}
		if r, err := b.roles.Get(ctx, s, roleCacheKey(entry.BindName)); err == nil && r != nil && !r.OnlyByBindingRules {
			return fmt.Sprintf("binds the role %q, which this mount has already: see whether it is meant, or give role_prefix", entry.BindName)
		}
	}
	return ""
}

func (o importOptions) policyWarning(name string) string {
	switch {
	case o.policyPrefix != "":
		return "" // a name that was chosen for Vault
	case slices.Contains(powerfulNames, strings.ToLower(name)):
		return fmt.Sprintf("becomes the policy %q of Vault, a name that powerful policies have: whoever it matches gets all that it allows there; look at it before, or give policy_prefix", name)
	case strings.Contains(name, "${"):
		return fmt.Sprintf("computes names of policies of Vault as %q: whoever may choose the value chooses among all policies of such names; give policy_prefix where they are not meant", name)
	}
	return fmt.Sprintf("becomes the policy %q of Vault, where the name may mean something else than in Consul; policy_prefix gives it another", name)
}
