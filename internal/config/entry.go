// Package config is the configuration of a mount: as it is stored, what it may say, and what
// it means. It knows neither requests nor the cluster, and does no I/O but to read the entry.
package config

import (
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/posture"
)

// Path is where the configuration is stored, and the path that writes it.
const Path = "config"

// What is used where the configuration says nothing, and what it may say.
const (
	defaultRequestTimeout = 10 * time.Second
	maxRequestTimeout     = time.Minute
	maxConcurrentLimit    = 10_000
	maxReviewCacheTTL     = time.Minute
)

// Values of renewal_check; not set, it is the first.
const (
	RenewalCheckAccount = "service_account"
	RenewalCheckPod     = "pod"
	RenewalCheckNone    = "none"
)

// Values of verification; not set, it is the first.
const (
	VerifyReview         = "review"
	VerifyKeysThenReview = "keys_then_review"
	VerifyKeys           = "keys"
	VerifyLive           = "live"
)

// DefaultIssuer is the issuer that is asked for when validation is on and no
// issuer is configured: that of the secret-based tokens.
const DefaultIssuer = "kubernetes/serviceaccount"

// Entry is the configuration as stored under configPath. The names are
// those of Vault's own method, which can read what is written here, and the other
// way round.
type Entry struct {
	Host                          string   `json:"host"`
	CACert                        string   `json:"ca_cert"`
	TokenReviewerJWT              string   `json:"token_reviewer_jwt"`
	PEMKeys                       []string `json:"pem_keys"`
	Issuer                        string   `json:"issuer"`
	DisableISSValidation          bool     `json:"disable_iss_validation"`
	DisableLocalCAJWT             bool     `json:"disable_local_ca_jwt"`
	UseAnnotationsAsAliasMetadata bool     `json:"use_annotations_as_alias_metadata"`

	// What Vault's own method does not have. Left out where it is not used, so
	// that the entry is then exactly Vault's.
	posture.Posture
	RequireAudience          bool              `json:"require_audience,omitempty"`
	ClusterName              string            `json:"cluster_name,omitempty"`
	ServiceNameAnnotation    string            `json:"service_name_annotation,omitempty"`
	MapNamespaces            bool              `json:"map_namespaces,omitempty"`
	ConsulNamespacePrefix    string            `json:"consul_namespace_prefix,omitempty"`
	ConsulNamespaceOverrides map[string]string `json:"consul_namespace_overrides,omitempty"`

	RequestTimeout       time.Duration `json:"request_timeout,omitempty"` // nanoseconds; 0 is the default
	MaxConcurrentReviews int           `json:"max_concurrent_reviews,omitempty"`
	RenewalCheck         string        `json:"renewal_check,omitempty"`
	TLSServerName        string        `json:"tls_server_name,omitempty"`
	ProxyURL             string        `json:"proxy_url,omitempty"`

	BindingRuleAudiences []string `json:"binding_rule_audiences,omitempty"`
	BindingRuleRole      string   `json:"binding_rule_role,omitempty"`

	// EnforcesDefaultIssuer is no field of the path: settleIssuer says what it is for.
	EnforcesDefaultIssuer bool `json:"enforces_default_issuer,omitempty"`

	// ReviewerDropped is no field of the path either: settleReviewer says what it is for.
	ReviewerDropped bool `json:"reviewer_dropped,omitempty"`

	Verification       string        `json:"verification,omitempty"`
	VerificationAccept []string      `json:"verification_accept,omitempty"`
	LiveStaleness      time.Duration `json:"live_staleness,omitempty"` // nanoseconds; 0 is the default
	JWKSURL            string        `json:"jwks_url,omitempty"`
	OIDCDiscoveryURL   string        `json:"oidc_discovery_url,omitempty"`
	JWKSCA             string        `json:"jwks_ca_pem,omitempty"`
	// PreferLoginReviewerJWT has the second token of a login ask although there is a reviewer.
	PreferLoginReviewerJWT bool `json:"prefer_login_reviewer_jwt,omitempty"`

	ReviewerAccount string        `json:"token_reviewer_service_account,omitempty"` // namespace/name
	ReviewerTTL     time.Duration `json:"token_reviewer_ttl,omitempty"`             // nanoseconds; 0 is the default
	ClientCert      string        `json:"kubernetes_client_cert,omitempty"`         // PEM, the reviewer's first
	ClientKey       string        `json:"kubernetes_client_key,omitempty"`          // PEM, PKCS #8

	TokenReviewCacheTTL time.Duration `json:"token_review_cache_ttl,omitempty"` // nanoseconds
}

// field is one of the path that writes the configuration.
type field struct {
	name string
	// added is whether Vault's own method does not have it. A write changes such a field
	// only if it names it.
	added bool
	in    func(c *Entry) any // a pointer to where it is kept
}

// Whose a field is.
const (
	vaults = false
	added  = true
)

// fields are all, each said once; the schema of the path adds types and descriptions.
var fields = []field{
	{"kubernetes_host", vaults, func(c *Entry) any { return &c.Host }},
	{"kubernetes_ca_cert", vaults, func(c *Entry) any { return &c.CACert }},
	{"token_reviewer_jwt", vaults, func(c *Entry) any { return &c.TokenReviewerJWT }},
	{"pem_keys", vaults, func(c *Entry) any { return &c.PEMKeys }},
	{"issuer", vaults, func(c *Entry) any { return &c.Issuer }},
	{"disable_iss_validation", vaults, func(c *Entry) any { return &c.DisableISSValidation }},
	{"disable_local_ca_jwt", vaults, func(c *Entry) any { return &c.DisableLocalCAJWT }},
	{"use_annotations_as_alias_metadata", vaults, func(c *Entry) any { return &c.UseAnnotationsAsAliasMetadata }},
	{"require_audience", added, func(c *Entry) any { return &c.RequireAudience }},
	{"max_token_lifetime", added, func(c *Entry) any { return &c.MaxTokenLifetime }},
	{"require_pod_bound_tokens", added, func(c *Entry) any { return &c.RequirePodBoundTokens }},
	{"refuse_legacy_tokens", added, func(c *Entry) any { return &c.RefuseLegacyTokens }},
	{"cluster_name", added, func(c *Entry) any { return &c.ClusterName }},
	{"service_name_annotation", added, func(c *Entry) any { return &c.ServiceNameAnnotation }},
	{"map_namespaces", added, func(c *Entry) any { return &c.MapNamespaces }},
	{"consul_namespace_prefix", added, func(c *Entry) any { return &c.ConsulNamespacePrefix }},
	{"consul_namespace_overrides", added, func(c *Entry) any { return &c.ConsulNamespaceOverrides }},
	{"request_timeout", added, func(c *Entry) any { return &c.RequestTimeout }},
	{"max_concurrent_reviews", added, func(c *Entry) any { return &c.MaxConcurrentReviews }},
	{"renewal_check", added, func(c *Entry) any { return &c.RenewalCheck }},
	{"tls_server_name", added, func(c *Entry) any { return &c.TLSServerName }},
	{"proxy_url", added, func(c *Entry) any { return &c.ProxyURL }},
	{"verification", added, func(c *Entry) any { return &c.Verification }},
	{"verification_accept", added, func(c *Entry) any { return &c.VerificationAccept }},
	{"live_staleness", added, func(c *Entry) any { return &c.LiveStaleness }},
	{"jwks_url", added, func(c *Entry) any { return &c.JWKSURL }},
	{"oidc_discovery_url", added, func(c *Entry) any { return &c.OIDCDiscoveryURL }},
	{"jwks_ca_pem", added, func(c *Entry) any { return &c.JWKSCA }},
	{reviewerAccountField, added, func(c *Entry) any { return &c.ReviewerAccount }},
	{reviewerTTLField, added, func(c *Entry) any { return &c.ReviewerTTL }},
	{"prefer_login_reviewer_jwt", added, func(c *Entry) any { return &c.PreferLoginReviewerJWT }},
	{clientCertField, added, func(c *Entry) any { return &c.ClientCert }},
	{clientKeyField, added, func(c *Entry) any { return &c.ClientKey }},
	{"token_review_cache_ttl", added, func(c *Entry) any { return &c.TokenReviewCacheTTL }},
	{"binding_rule_audiences", added, func(c *Entry) any { return &c.BindingRuleAudiences }},
	{"binding_rule_role", added, func(c *Entry) any { return &c.BindingRuleRole }},
}

// Timeout bounds one request to the API server.
func (c *Entry) Timeout() time.Duration {
	if c.RequestTimeout == 0 {
		return defaultRequestTimeout
	}
	return c.RequestTimeout
}

// LeavesIssuerOpen tells whether issuers are to be validated, and none is named.
func (c *Entry) LeavesIssuerOpen() bool { return !c.DisableISSValidation && c.Issuer == "" }

// SettleIssuer decides what it means that no issuer is named. Written here, it is the
// default one. Vault's own method checks nothing then, and its Terraform provider
// writes just that for whoever does not name disable_iss_validation; a mount that
// comes from there goes on so, until a write says something else about the issuer, lest
// switching over, or the next terraform apply, lock everybody out. An empty value says
// nothing: it is read as false, as in Vault's own method, and checks no more than there.
func (c *Entry) SettleIssuer(before *Entry, emptied func(field string) bool) {
	inherited := before != nil && before.LeavesIssuerOpen() && !before.EnforcesDefaultIssuer
	byEmpty := emptied("disable_iss_validation") && (before == nil || before.DisableISSValidation)
	c.EnforcesDefaultIssuer = c.LeavesIssuerOpen() && !inherited && !byEmpty
}

// Setting is what bears on binding rules; c may be nil.
func (c *Entry) Setting() binding.Setting {
	if c == nil {
		return binding.Setting{}
	}
	return binding.Setting{
		ClusterName:       c.ClusterName,
		MapsNamespaces:    c.MapNamespaces,
		NamedByAnnotation: c.ServiceNameAnnotation != "",
	}
}

// EnforcedIssuers are those of which tokens must have one; none if any may. Vault's field is
// one text, in which commas separate several: a cluster that changes its issuer takes both
// for a while. No issuer has a comma, since it is a URL or a name.
func (c *Entry) EnforcedIssuers() []string {
	switch {
	case c.DisableISSValidation:
		return nil
	case c.EnforcesDefaultIssuer:
		return []string{DefaultIssuer}
	case !strings.Contains(c.Issuer, ",") && c.Issuer != "":
		return []string{c.Issuer} // as it is, space and all, as Vault's own method compares it
	}
	var issuers []string
	for issuer := range strings.SplitSeq(c.Issuer, ",") {
		if issuer = strings.TrimSpace(issuer); issuer != "" {
			issuers = append(issuers, issuer)
		}
	}
	return issuers
}

// ConsulNamespace is the namespace in Consul that a namespace of the cluster is
// mapped to, or "" if there is no mapping.
func (c *Entry) ConsulNamespace(namespace string) string {
	if !c.MapNamespaces {
		return ""
	}
	if override, ok := c.ConsulNamespaceOverrides[namespace]; ok {
		return override
	}
	return c.ConsulNamespacePrefix + namespace
}
