// Package metadata is what tokens and aliases say of who logged in: the keys, and which
// annotations of a service account become values of an alias. Templated policies are built
// on it, so nobody but the cluster and the operator may choose what is under the keys here.
package metadata

import (
	"fmt"
	"maps"
	"strings"
)

// Keys of alias and token metadata. The first five are named as Vault's own
// method names them; a key whose value is unknown is left out of the others.
const (
	UID        = "service_account_uid"
	Name       = "service_account_name"
	Namespace  = "service_account_namespace"
	SecretName = "service_account_secret_name"
	Role       = "role"

	Cluster         = "cluster_name"
	ConsulNamespace = "consul_namespace"
	ConsulService   = "consul_service"
	ConsulNode      = "consul_node"

	// Of the token only: they change from login to login, and each change of an
	// alias is a write to Vault's storage.
	Pod     = "pod_name"
	PodUID  = "pod_uid"
	Node    = "node_name"
	NodeUID = "node_uid"
	// CredentialID names the service account token in the cluster's audit log.
	CredentialID = "credential_id" //nolint:gosec // the name of a key
	Rules        = "binding_rules"
	// VerifiedBy is by what the identity was verified: review, keys or live.
	VerifiedBy = "verified_by"
)

// Reserved are the keys of alias metadata that annotations must not set.
func Reserved() []string {
	return []string{
		UID, Name, Namespace, SecretName,
		Cluster, ConsulNamespace, ConsulService, ConsulNode,
	}
}

// Listed is Joined in no more bytes than one value may have: of names that do not fit it
// says how many there are. What it is for is to be read; nothing is decided by it.
func Listed(names []string) string {
	all := Joined(names)
	if len(all) <= MaxValueBytes {
		return all
	}
	const room = len(" and 1000000 more")
	count, length := 0, 0
	for ; count < len(names) && length+len(names[count])+1 <= MaxValueBytes-room; count++ {
		length += len(names[count]) + 1
	}
	return fmt.Sprintf("%s and %d more", Joined(names[:count]), len(names)-count)
}

// Joined is how several services, nodes or rules stand in one value.
func Joined(names []string) string { return strings.Join(names, ",") }

// SetIfAny sets a key that is left out where its value is unknown.
func SetIfAny(metadata map[string]string, key, value string) {
	if value != "" {
		metadata[key] = value
	}
}

// Merged returns base with over on top of it.
func Merged(base, over map[string]string) map[string]string {
	m := make(map[string]string, len(base)+len(over))
	maps.Copy(m, base)
	maps.Copy(m, over)
	return m
}
