package importer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/rules"
	"vault-plugin-auth-kubernetes/internal/scrub"
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
func mapsAlike(c, other *config.Entry) bool {
	if !c.MapNamespaces || !other.MapNamespaces {
		return c.MapNamespaces == other.MapNamespaces
	}
	return c.ConsulNamespacePrefix == other.ConsulNamespacePrefix && maps.Equal(c.ConsulNamespaceOverrides, other.ConsulNamespaceOverrides)
}

// replaces says what of a mount that is in use would be replaced by a configuration
// that was made for something else.
func replaces(c, before *config.Entry) (conflicts []string) {
	if !sameKubernetesHost(before.Host, c.Host) {
		conflicts = append(conflicts, fmt.Sprintf("the mount is configured for %s, and the auth method is for %s; with replace_configuration=true all of the mount's roles and rules are for that cluster from then on", before.Host, c.Host))
	}
	if before.MapNamespaces && !mapsAlike(c, before) {
		conflicts = append(conflicts, "the mount maps namespaces to Consul in another way than the auth method, and consul_namespace in the metadata of all its tokens would change; with replace_configuration=true it does")
	}
	return conflicts
}

// changedMeanings says which roles and rules that the import does not write would mean
// something else after it.
func (m *Mount) changedMeanings(ctx context.Context, plan *Plan, before *config.Entry) (conflicts []string, err error) {
	if before.ServiceNameAnnotation == plan.Config.ServiceNameAnnotation && mapsAlike(plan.Config, before) {
		return nil, nil
	}
	set, err := m.Rules.Get(ctx, m.Storage)
	if err != nil {
		return nil, err
	}
	written := plan.keys()
	others := func(names []string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return written[rules.Key(name)] })
	}
	if names := others(set.DependingOnAnnotation()); len(names) > 0 && before.ServiceNameAnnotation != plan.Config.ServiceNameAnnotation {
		conflicts = append(conflicts, fmt.Sprintf("the import sets service_name_annotation to %s, it is %q, and these rules of the mount would see other names: %s",
			plan.Config.ServiceNameAnnotation, before.ServiceNameAnnotation, scrub.Few(names)))
	}
	if mapsAlike(plan.Config, before) {
		return conflicts, nil
	}
	if names := others(set.DependingOnConsulNamespace()); len(names) > 0 {
		conflicts = append(conflicts, "the import changes how namespaces are mapped to Consul, and these rules of the mount depend on consul.namespace: "+scrub.Few(names))
	}
	names, err := rolesDependingOnConsulNamespace(ctx, m.Storage)
	if len(names) > 0 {
		conflicts = append(conflicts, "the import changes how namespaces are mapped to Consul, and these roles of the mount depend on consul.namespace: "+scrub.Few(names))
	}
	return conflicts, err
}

// rolesDependingOnConsulNamespace are those whose selector does. A role or a selector
// that cannot be read admits nobody, before and after.
func rolesDependingOnConsulNamespace(ctx context.Context, s logical.Storage) (names []string, err error) {
	stored, err := s.List(ctx, role.Prefix)
	if err != nil {
		return nil, err
	}
	for _, name := range stored {
		entry, err := s.Get(ctx, role.Prefix+name)
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
