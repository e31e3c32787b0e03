package main

import "github.com/hashicorp/vault/sdk/framework"

// configFields is the schema of config. The names and defaults of the first eight
// are those of Vault's own method.
func configFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"kubernetes_host": {
			Type: framework.TypeString,
			Description: `The Kubernetes API server: a host, a host:port pair, an IPv6 literal, or the
URL of its base. Without a scheme it is https. Before a port an IPv6 address needs
brackets: https://[fd00::1]:443.`,
		},
		"kubernetes_ca_cert": {
			Type: framework.TypeString,
			Description: `PEM bundle of the certificates that may have signed the API server's. If it is
not set, the CA bundle of the pod that Vault runs in, or, with
disable_local_ca_jwt, the system's. Text that lost its line feeds, or the base64 of
the whole, is taken and stored as PEM. Each certificate has to be readable; a private
key is refused.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Kubernetes CA Certificate"},
		},
		"token_reviewer_jwt": {
			Type: framework.TypeString,
			Description: `Bearer token for the TokenReview API. If it is not set, the token of the pod that
Vault runs in; without one, or with disable_local_ca_jwt, the token of each login
is used to review itself. The token alone, without quotes or Bearer; what is plainly
the name of a file is refused. Never returned. A write that does not name it, or names
it with an empty value, takes it away, with a warning.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Token Reviewer JWT"},
		},
		"pem_keys": {
			Type: framework.TypeCommaStringSlice,
			Description: `Public keys or certificates in PEM form, RSA or ECDSA. If there are any, a token
that none of them signed is refused before the API server is asked. An item with
several is stored as several; otherwise as kubernetes_ca_cert.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Service account verification keys"},
		},
		"issuer": {
			Type:       framework.TypeString,
			Deprecated: true,
			Description: `The issuer that tokens must have if disable_iss_validation is false; not set, it
is kubernetes/serviceaccount. Several are separated by commas, for while a cluster
changes its issuer. (Deprecated: the API server checks the issuer.)`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "JWT Issuer"},
		},
		"disable_iss_validation": {
			Type:       framework.TypeBool,
			Deprecated: true,
			Default:    true,
			Description: `Leave the check of the issuer to the API server. An empty value is read as false,
and checks none where no issuer is named. (Deprecated)`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Disable JWT Issuer Validation"},
		},
		"disable_local_ca_jwt": {
			Type:         framework.TypeBool,
			Default:      false,
			Description:  `Never use the CA bundle and the token of the pod that Vault runs in.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Disable use of local CA and service account JWT"},
		},
		"use_annotations_as_alias_metadata": {
			Type:    framework.TypeBool,
			Default: false,
			Description: `Copy annotations of the service account that begin with
vault.hashicorp.com/alias-metadata- to the metadata of the entity alias. The
reviewer then needs permission to get service accounts.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Use annotations of JWT service account as alias metadata"},
		},
		"require_audience": {
			Type: framework.TypeBool,
			Description: `Refuse roles without an audience, when they are written and when they are used.
Which audiences a login without a role needs, binding_rule_audiences says.`,
		},
		"max_token_lifetime": {
			Type: framework.TypeDurationSecond,
			Description: `Refuse tokens that were issued for longer than this, or without an end, whatever
roles say. The token that each pod has by default may live for a year. Whole seconds,
10m or more. Default 0, any; with verification=keys 1h5m, and 7d at most.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Maximum lifetime of service account tokens"},
		},
		"require_pod_bound_tokens": {
			Type: framework.TypeBool,
			Description: `Refuse tokens that are not bound to a pod, and so outlive it, whatever roles say.
Those of kubectl create token are not, nor are those of secrets.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Require tokens that are bound to a pod"},
		},
		"refuse_legacy_tokens": {
			Type: framework.TypeBool,
			Description: `Refuse tokens that live in secrets, which do not end and have no audience, whatever
roles say.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Refuse tokens of secrets"},
		},
		"binding_rule_audiences": {
			Type: framework.TypeCommaStringSlice,
			Description: `Audiences of which a token must have one to log in without a role, that is by the
binding rules, separated by commas; each is compared as a whole. If it is not set,
those of binding_rule_role; without any, the API server's own.`,
		},
		"binding_rule_role": {
			Type: framework.TypeString,
			Description: `Name of a role that every login by the binding rules goes through, whatever the
client sends: the login is refused if the bounds of the role do not hold; its
policies join, its token settings and those of roles that rules bind count as the
strictest of them; its alias_name_source and alias_metadata count, and so do quotas
on it.`,
		},
		"cluster_name": {
			Type:        framework.TypeString,
			Description: `Name of the cluster, for the metadata of tokens and aliases and as the attribute cluster.name.`,
		},
		"service_name_annotation": {
			Type: framework.TypeString,
			Description: `Annotation of the service account whose value, if it has one, replaces
serviceaccount.name in binding rules that have use_service_name_annotation=true, and
nowhere else. Consul's is consul.hashicorp.com/service-name.`,
		},
		"map_namespaces": {
			Type: framework.TypeBool,
			Description: `Map namespaces of the cluster to namespaces of Consul, as metadata and as the
attribute consul.namespace.`,
		},
		"consul_namespace_prefix": {
			Type:        framework.TypeString,
			Description: `What map_namespaces puts before the name of the namespace.`,
		},
		"consul_namespace_overrides": {
			Type:        framework.TypeKVPairs,
			Description: `Namespaces that map_namespaces maps to another name than prefix and namespace.`,
		},
		"request_timeout": {
			Type: framework.TypeDurationSecond,
			Description: `Bound on one attempt at the Kubernetes API, of which a login makes two at most.
Whole seconds. Default 10s, at most 60s.`,
		},
		"max_concurrent_reviews": {
			Type: framework.TypeInt,
			Description: `How many requests the mount has under way at the API server at a time; others
wait for their turn. Default 256.`,
		},
		"renewal_check": {
			Type: framework.TypeString,
			Description: `service_account, the default: a token is not renewed once its service account is
gone or was created anew; the reviewer then needs permission to get service
accounts, and without it tokens are renewed and the log has a warning. pod: nor once
the pod that logged in is gone, which takes permission to get pods, or
verification=live, which knows. none: only the role, or the binding rules, count.`,
		},
		"tls_server_name": {
			Type:        framework.TypeString,
			Description: `Name that the API server's certificate must have, where it is not that of kubernetes_host.`,
		},
		"proxy_url": {
			Type: framework.TypeString,
			Description: `Proxy to reach the API server by: http, https or socks5. Not set, the proxy of the
environment that Vault runs in. A password in it is never returned: xxxxx stands for
it, and keeps it where the URL is written as it was read.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Proxy URL"},
		},
		"token_reviewer_service_account": {
			Type: framework.TypeString,
			Description: `namespace/name of a service account whose tokens the mount makes for the reviewer,
by itself: token_reviewer_jwt is then a first one by which the next is asked for, and is
replaced at once and not kept. It has to be allowed to create serviceaccounts/token of
that name. Another one is made after four fifths of the life of each.`,
		},
		"token_reviewer_ttl": {
			Type: framework.TypeDurationSecond,
			Description: `How long the tokens of token_reviewer_service_account are good. A fifth of it is
how long the API server, or Vault, may be down before a first token has to be written
anew. Whole seconds, 10m to 7d. Default 1h.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Lifetime of the reviewer's tokens"},
		},
		"prefer_login_reviewer_jwt": {
			Type: framework.TypeBool,
			Description: `Have the reviewer_jwt of a login, where it brings one, ask about its jwt in place of
the reviewer that is configured. Without a reviewer it does so in any case.`,
		},
		"kubernetes_client_cert": {
			Type: framework.TypeString,
			Description: `PEM certificate by which the API server knows the reviewer, in place of
token_reviewer_jwt, with those of intermediate CAs behind it. Needs
kubernetes_client_key. Then no token of a reviewer is sent, nor that of the pod that
Vault runs in. Never returned.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Kubernetes client certificate"},
		},
		"kubernetes_client_key": {
			Type: framework.TypeString,
			Description: `PEM private key of kubernetes_client_cert, RSA or ECDSA, without a passphrase.
Never returned.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Kubernetes client key", Sensitive: true},
		},
		"verification": {
			Type: framework.TypeString,
			Description: `How a login's token is verified. review, the default: the API server is asked about
each. keys_then_review: about each that the cluster's keys signed, so that the API server
sees no forgery. keys: by the keys alone, and nobody is asked; a token is then good until
it expires, whatever is deleted in the cluster. live: by the keys and a watch on pods and
service accounts, which refuses what was deleted at once; whatever is in doubt is a
TokenReview. The reviewer then needs to list and watch pods and service accounts.`,
		},
		"verification_accept": {
			Type: framework.TypeCommaStringSlice,
			Description: `What verification=keys is to accept that it refuses by default: any_issuer, no_audience
(roles without one), not_pod_bound, long_lived (more than max_token_lifetime),
unknown_claims (below kubernetes.io). Tokens from secrets it never accepts.`,
		},
		"live_staleness": {
			Type: framework.TypeDurationSecond,
			Description: `How old what verification=live knows may be for it to count; the API server is asked
from then on. Whole seconds, 6s to 60s. Default 10s.`,
		},
		"jwks_url": {
			Type: framework.TypeString,
			Description: `https address of the cluster's key set, in place of the API server's own. It needs
issuer, unless verification is keys_then_review.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "JWKS URL"},
		},
		"oidc_discovery_url": {
			Type: framework.TypeString,
			Description: `The cluster's issuer, whose discovery document says where the key set is, in place of
jwks_url.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "OIDC discovery URL"},
		},
		"jwks_ca_pem": {
			Type:         framework.TypeString,
			Description:  `PEM bundle of the certificates that may have signed that of jwks_url or oidc_discovery_url; not set, the system's.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "JWKS CA PEM"},
		},
		"token_review_cache_ttl": {
			Type: framework.TypeDurationSecond,
			Description: `Remember for this long that the API server confirmed a token, and not ask again; at
most 60s, and never past the token's own expiry. A service account that is deleted
can log in for as long. Whole seconds. Default 0, ask every time.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "TokenReview cache TTL"},
		},
	}
}
