package main

import (
	"maps"

	"github.com/hashicorp/vault/sdk/logical"
)

// Metadata of the alias and of the token. The first five are named as Vault's own
// method names them; a key whose value is unknown is left out of the others.
const (
	metadataUID        = "service_account_uid"
	metadataName       = "service_account_name"
	metadataNamespace  = "service_account_namespace"
	metadataSecretName = "service_account_secret_name"
	metadataRole       = "role"

	metadataCluster         = "cluster_name"
	metadataConsulNamespace = "consul_namespace"
	metadataConsulService   = "consul_service"
	metadataConsulNode      = "consul_node"

	// Of the token only: they change from login to login, and each change of an
	// alias is a write to Vault's storage.
	metadataPod   = "pod_name"
	metadataNode  = "node_name"
	metadataRules = "binding_rules"
)

// reservedMetadata are the keys of alias metadata that annotations must not set:
// templated policies may be built on them.
var reservedMetadata = []string{
	metadataUID, metadataName, metadataNamespace, metadataSecretName,
	metadataCluster, metadataConsulNamespace, metadataConsulService, metadataConsulNode,
}

// auth builds what the host makes a token from, after all steps passed. Everything
// in it is what the API server confirmed, or the operator configured.
func (l *login) auth(roleName string) *logical.Auth {
	identityMetadata := l.identityMetadata()
	auth := &logical.Auth{
		Alias:       &logical.Alias{Name: l.aliasName, Metadata: merged(l.annotations.taken, identityMetadata)},
		DisplayName: l.identity.Namespace() + "-" + l.identity.Name(),
		Metadata:    merged(l.tokenMetadata(), identityMetadata),
		// Vault's own method, should the mount be switched back, expects the key.
		InternalData: map[string]any{leaseRole: roleName},
	}
	if l.granted != nil {
		if l.role != nil && len(l.role.AliasMetadata) > 0 {
			auth.Alias.CustomMetadata = maps.Clone(l.role.AliasMetadata)
		}
		l.granted.populate(auth)
		l.leaveInLease(auth.InternalData)
		return auth
	}
	auth.Metadata[metadataRole] = roleName
	l.role.PopulateTokenAuth(auth)
	return auth
}

// leaveInLease keeps what the renewal of a token by rules goes by: all that rules, and
// the bounds of roles, looked at and that nobody could tell then.
func (l *login) leaveInLease(lease map[string]any) {
	lease[leaseIdentity] = l.identity.ForLease()
	lease[leaseGrants] = fingerprint(l.granted.Grants)
	if l.remote != nil {
		lease[leaseAddress] = l.remote.RemoteAddr
	}
}

// secretName is that of the secret that holds the token, "" for other tokens.
func (l *login) secretName() string {
	if l.unverified == nil {
		return ""
	}
	return l.unverified.LegacySecretName(l.identity.Namespace(), l.identity.Name(), l.identity.UID())
}

// identityMetadata is what alias and token have in common.
func (l *login) identityMetadata() map[string]string {
	metadata := map[string]string{
		metadataUID:        l.identity.UID(),
		metadataName:       l.identity.Name(),
		metadataNamespace:  l.identity.Namespace(),
		metadataSecretName: l.secretName(),
	}
	setIfAny(metadata, metadataCluster, l.cluster.Config.ClusterName)
	setIfAny(metadata, metadataConsulNamespace, l.cluster.Config.ConsulNamespace(l.identity.Namespace()))
	if l.granted != nil {
		setIfAny(metadata, metadataConsulService, joinedNames(l.granted.Services))
		setIfAny(metadata, metadataConsulNode, joinedNames(l.granted.Nodes))
	}
	return metadata
}

func (l *login) tokenMetadata() map[string]string {
	metadata := map[string]string{}
	setIfAny(metadata, metadataPod, l.identity.Pod().Name)
	setIfAny(metadata, metadataNode, l.identity.Node().Name)
	if l.granted != nil {
		metadata[metadataRules] = joinedNames(l.granted.Rules)
	}
	return metadata
}

func setIfAny(metadata map[string]string, key, value string) {
	if value != "" {
		metadata[key] = value
	}
}

// merged returns base with over on top of it.
func merged(base, over map[string]string) map[string]string {
	m := make(map[string]string, len(base)+len(over))
	maps.Copy(m, base)
	maps.Copy(m, over)
	return m
}
