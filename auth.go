package main

import (
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/role"
)

// authOf builds what the host makes a token from, after all steps passed. Everything
// in it is what the API server confirmed, or the operator configured.
func authOf(o *login.Outcome, roleName string) *logical.Auth {
	auth := tokenOf(&o.Finding, o.Identity, roleName)
	auth.InternalData = o.Lease(roleName)
	return auth
}

// tokenOf is what a token has, but for what the host keeps with its lease. Where nobody
// vouched for who it is about, that is all there is: it is to be looked at.
func tokenOf(f *login.Finding, who identity.Account, roleName string) *logical.Auth {
	common := identityMetadata(f, who)
	auth := &logical.Auth{
		Alias:       &logical.Alias{Name: f.Alias, Metadata: metadata.Merged(f.Annotations.Taken, common)},
		DisplayName: who.Namespace() + "-" + who.Name(),
		Metadata:    metadata.Merged(tokenMetadata(f, who), common),
	}
	if f.Granted == nil {
		auth.Metadata[metadata.Role] = roleName
		f.Role.PopulateTokenAuth(auth)
		return auth
	}
	auth.Alias.CustomMetadata = f.CustomMetadata()
	metadata.SetIfAny(auth.Metadata, metadata.Role, roleName)
	auth.Policies = f.Granted.Policies
	auth.Renewable = true
	auth.GroupAliases = groupAliases(f.Granted.Groups)
	applySettings(auth, &f.Granted.Settings)
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
func identityMetadata(f *login.Finding, who identity.Account) map[string]string {
	common := map[string]string{
		metadata.UID:        who.UID(),
		metadata.Name:       who.Name(),
		metadata.Namespace:  who.Namespace(),
		metadata.SecretName: f.SecretName,
	}
	metadata.SetIfAny(common, metadata.Cluster, f.Cluster.Config.ClusterName)
	metadata.SetIfAny(common, metadata.ConsulNamespace, f.Cluster.Config.ConsulNamespace(who.Namespace()))
	if f.Granted != nil {
		metadata.SetIfAny(common, metadata.ConsulService, metadata.Joined(f.Granted.Services))
		metadata.SetIfAny(common, metadata.ConsulNode, metadata.Joined(f.Granted.Nodes))
	}
	return common
}

func tokenMetadata(f *login.Finding, who identity.Account) map[string]string {
	own := map[string]string{}
	metadata.SetIfAny(own, metadata.Pod, who.Pod().Name)
	metadata.SetIfAny(own, metadata.PodUID, who.Pod().UID)
	metadata.SetIfAny(own, metadata.Node, who.Node().Name)
	metadata.SetIfAny(own, metadata.NodeUID, who.Node().UID)
	metadata.SetIfAny(own, metadata.CredentialID, who.CredentialID())
	if id, ok := who.(identity.Identity); ok && f.Cluster.Config.VerifiesLocally() {
		// Else it is always the same, and Vault's own method has no such key.
		metadata.SetIfAny(own, metadata.VerifiedBy, string(id.By()))
	}
	if f.Granted != nil {
		own[metadata.Rules] = metadata.Listed(f.Granted.Rules)
	}
	return own
}
