package main

import (
	"maps"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/role"
)

// authOf builds what the host makes a token from, after all steps passed. Everything
// in it is what the API server confirmed, or the operator configured.
func authOf(o *login.Outcome, roleName string) *logical.Auth {
	common := identityMetadata(o)
	auth := &logical.Auth{
		Alias:        &logical.Alias{Name: o.Alias, Metadata: metadata.Merged(o.Annotations.Taken, common)},
		DisplayName:  o.Identity.Namespace() + "-" + o.Identity.Name(),
		Metadata:     metadata.Merged(tokenMetadata(o), common),
		InternalData: o.Lease(roleName),
	}
	if o.Granted == nil {
		auth.Metadata[metadata.Role] = roleName
		o.Role.PopulateTokenAuth(auth)
		return auth
	}
	if o.Role != nil && len(o.Role.AliasMetadata) > 0 {
		auth.Alias.CustomMetadata = maps.Clone(o.Role.AliasMetadata)
	}
	auth.Policies = o.Granted.Policies
	auth.Renewable = true
	auth.GroupAliases = groupAliases(o.Granted.Groups)
	applySettings(auth, &o.Granted.Settings)
	return auth
}

func applySettings(auth *logical.Auth, s *role.Settings) {
	auth.TTL, auth.MaxTTL, auth.ExplicitMaxTTL, auth.Period = s.TTL, s.MaxTTL, s.ExplicitMaxTTL, s.Period
	auth.NumUses, auth.NoDefaultPolicy, auth.TokenType = s.NumUses, s.NoDefaultPolicy, s.TokenType
	auth.BoundCIDRs = s.CIDRs
	if auth.TokenType == logical.TokenTypeBatch && (auth.Period != 0 || auth.NumUses != 0) {
		auth.TokenType = logical.TokenTypeService // a batch token can have neither
	}
}

// groupAliases is how the host is told of groups.
func groupAliases(names []string) []*logical.Alias {
	var aliases []*logical.Alias
	for _, name := range names {
		aliases = append(aliases, &logical.Alias{Name: name})
	}
	return aliases
}

// identityMetadata is what alias and token have in common.
func identityMetadata(o *login.Outcome) map[string]string {
	common := map[string]string{
		metadata.UID:        o.Identity.UID(),
		metadata.Name:       o.Identity.Name(),
		metadata.Namespace:  o.Identity.Namespace(),
		metadata.SecretName: o.SecretName,
	}
	metadata.SetIfAny(common, metadata.Cluster, o.Cluster.Config.ClusterName)
	metadata.SetIfAny(common, metadata.ConsulNamespace, o.Cluster.Config.ConsulNamespace(o.Identity.Namespace()))
	if o.Granted != nil {
		metadata.SetIfAny(common, metadata.ConsulService, metadata.Joined(o.Granted.Services))
		metadata.SetIfAny(common, metadata.ConsulNode, metadata.Joined(o.Granted.Nodes))
	}
	return common
}

func tokenMetadata(o *login.Outcome) map[string]string {
	own := map[string]string{}
	metadata.SetIfAny(own, metadata.Pod, o.Identity.Pod().Name)
	metadata.SetIfAny(own, metadata.Node, o.Identity.Node().Name)
	if o.Granted != nil {
		own[metadata.Rules] = metadata.Joined(o.Granted.Rules)
	}
	return own
}
