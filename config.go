package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// What is used where the configuration says nothing, and what it may say.
const (
	defaultRequestTimeout = 10 * time.Second
	maxRequestTimeout     = time.Minute
	maxConcurrentLimit    = 10_000
	maxReviewCacheTTL     = time.Minute
)

// Values of renewal_check; not set, it is the first.
const (
	renewalCheckAccount = "service_account"
	renewalCheckNone    = "none"
)

// defaultIssuer is the issuer that is asked for when validation is on and no
// issuer is configured: that of the secret-based tokens.
const defaultIssuer = "kubernetes/serviceaccount"

// configEntry is the configuration as stored under configPath. The names are
// those of Vault's own method, which can read what is written here, and the other
// way round.
type configEntry struct {
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

	VerifyWithClusterKeys bool          `json:"verify_with_cluster_keys,omitempty"`
	TokenReviewCacheTTL   time.Duration `json:"token_review_cache_ttl,omitempty"` // nanoseconds
}

func (c *configEntry) requestTimeout() time.Duration {
	if c.RequestTimeout == 0 {
		return defaultRequestTimeout
	}
	return c.RequestTimeout
}

// leavesIssuerOpen tells whether issuers are to be validated, and none is named.
func (c *configEntry) leavesIssuerOpen() bool { return !c.DisableISSValidation && c.Issuer == "" }

// settleIssuer decides what it means that no issuer is named. Written here, it is the
// default one. Vault's own method checks nothing then, and its Terraform provider
// writes just that for whoever does not name disable_iss_validation; a mount that
// comes from there goes on so, until a write says something else about the issuer, lest
// switching over, or the next terraform apply, lock everybody out.
func (c *configEntry) settleIssuer(before *configEntry) {
	inherited := before != nil && before.leavesIssuerOpen() && !before.EnforcesDefaultIssuer
	c.EnforcesDefaultIssuer = c.leavesIssuerOpen() && !inherited
}

// setting is what bears on binding rules; c may be nil.
func (c *configEntry) setting() binding.Setting {
	if c == nil {
		return binding.Setting{}
	}
	return binding.Setting{
		ClusterName:       c.ClusterName,
		MapsNamespaces:    c.MapNamespaces,
		NamedByAnnotation: c.ServiceNameAnnotation != "",
	}
}

// enforcedIssuer is the issuer that tokens must have, or "" if any may.
func (c *configEntry) enforcedIssuer() string {
	switch {
	case c.DisableISSValidation:
		return ""
	case c.EnforcesDefaultIssuer:
		return defaultIssuer
	}
	return c.Issuer
}

// consulNamespace is the namespace in Consul that a namespace of the cluster is
// mapped to, or "" if there is no mapping.
func (c *configEntry) consulNamespace(namespace string) string {
	if !c.MapNamespaces {
		return ""
	}
	if override, ok := c.ConsulNamespaceOverrides[namespace]; ok {
		return override
	}
	return c.ConsulNamespacePrefix + namespace
}

// connection is a configuration made ready for logins: parsed, immutable, with
// the client that asks its API server.
type connection struct {
	config *configEntry
	keys   token.Keys
	client *kube.Client
	// clusterKeys are the cluster's own; nil unless the configuration asks for it.
	clusterKeys *clusterKeys
	// reviewer asks client; selfReview tells whether it does so with the login
	// token's own authority.
	reviewer   tokenReviewer
	selfReview func() bool
	// direct is the reviewer that remembers nothing, whatever the configuration.
	direct tokenReviewer
	// issuer is the one that tokens must have, or "" if any may.
	issuer string
	// podCA is the pod's CA bundle that the client trusts, or "" if it does
	// not use the pod's.
	podCA string
	// stored is the digest of the entry that it was made of.
	stored [sha256.Size]byte
}

// deadline bounds everything that a login or a renewal asks the cluster.
func (c *connection) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*c.config.requestTimeout())
}

// readConfig reads the stored configuration; nil if there is none.
func readConfig(ctx context.Context, s logical.Storage) (*configEntry, error) {
	entry, err := s.Get(ctx, configPath)
	if err != nil || entry == nil {
		return nil, err
	}
	return decodeConfig(entry)
}

func decodeConfig(entry *logical.StorageEntry) (*configEntry, error) {
	config := &configEntry{}
	if err := entry.DecodeJSON(config); err != nil {
		return nil, fmt.Errorf("the stored configuration cannot be read: %w", err)
	}
	return config, nil
}

// connection returns what logins use now, or nil if the mount has no
// configuration. A pod CA that was replaced on disk is picked up here.
func (b *backend) connection(ctx context.Context, s logical.Storage) (*connection, error) {
	c, err := b.connections.Get(ctx, s, configPath)
	if err != nil || c == nil || !b.podCAChanged(c) {
		return c, err
	}
	b.connections.Drop(configPath)
	return b.connections.Get(ctx, s, configPath)
}

func (b *backend) podCAChanged(c *connection) bool {
	if c.podCA == "" {
		return false
	}
	current, err := b.podCA.Read()
	// A bundle that is gone or half-written is no reason to give up one that
	// worked.
	return err == nil && current != c.podCA && hasCertificate(current)
}

// loadConnection is the cache's loader. A configuration that cannot work is an
// error each time, so that it heals as soon as its cause does.
func (b *backend) loadConnection(ctx context.Context, s logical.Storage, _ string, _ *connection) (*connection, error) {
	b.metrics.ConfigLoads.Inc()
	entry, err := s.Get(ctx, configPath)
	if err != nil || entry == nil {
		return nil, err
	}
	stored := sha256.Sum256(entry.Value)
	b.making.Lock() // of several that read it at once, one makes a connection
	defer b.making.Unlock()
	if made := b.made.Load(); made != nil && made.stored == stored && !b.podCAChanged(made) {
		return made, nil
	}
	config, err := decodeConfig(entry)
	if err != nil {
		return nil, err
	}
	c, err := b.newConnection(config)
	if err != nil {
		return nil, err
	}
	c.stored = stored
	b.replaceConnection(c)
	return c, nil
}

// newConnection makes a configuration ready for logins.
func (b *backend) newConnection(config *configEntry) (c *connection, err error) {
	c = &connection{config: config}
	c.issuer = config.enforcedIssuer()
	if c.keys, err = token.ParseKeys(config.PEMKeys); err != nil {
		return nil, refusal.Misconfigured("pem_keys cannot be used", "write the configuration anew", err)
	}
	ca := config.CACert
	if ca == "" && !config.DisableLocalCAJWT {
		if c.podCA, err = b.podCA.Read(); err != nil {
			return nil, refusal.Misconfigured("the pod's CA certificate cannot be read",
				"set kubernetes_ca_cert, or disable_local_ca_jwt=true where Vault does not run in a pod", err)
		}
		ca = c.podCA
	}
	credential := b.reviewerCredential(config)
	if c.client, err = newClient(config, ca, credential, &b.metrics.Meter); err != nil {
		return nil, refusal.Misconfigured("no client can be made", "write the configuration anew", err)
	}
	c.selfReview = func() bool { return credential() == "" }
	c.direct = &countedReviewer{
		next:  &apiReviewer{client: c.client, selfReview: c.selfReview, dropped: config.ReviewerDropped},
		count: b.metrics.Reviewed,
	}
	c.reviewer = c.direct
	if config.TokenReviewCacheTTL > 0 {
		c.reviewer = newRememberingReviewer(b.ctx, c.reviewer, config.TokenReviewCacheTTL, b.now, b.metrics.CacheLookup)
	}
	if config.VerifyWithClusterKeys {
		c.clusterKeys = newClusterKeys(b.ctx, c.client, c.selfReview, b.now)
	}
	return c, nil
}

func newClient(config *configEntry, ca string, credential func() string, meter *kube.Meter) (*kube.Client, error) {
	host, err := kube.ParseHost(config.Host)
	if err != nil {
		return nil, fmt.Errorf("kubernetes_host: %w", err)
	}
	proxy, err := parseProxy(config.ProxyURL)
	if err != nil {
		return nil, err
	}
	return kube.New(kube.Options{
		Host:           host,
		CAPEM:          ca,
		ServerName:     config.TLSServerName,
		Proxy:          proxy,
		Credential:     credential,
		RequestTimeout: config.requestTimeout(),
		MaxConcurrent:  int64(config.MaxConcurrentReviews),
		UserAgent:      "vault-plugin-auth-kubernetes/" + version,
		Meter:          meter,
	})
}

// parseProxy reads proxy_url; nil if it is not set. The error repeats nothing of
// it, since it may hold a password.
func parseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	proxy, err := url.Parse(text)
	if err != nil || proxy.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5"}, proxy.Scheme) {
		return nil, errors.New("proxy_url: not the URL of an http, https or socks5 proxy")
	}
	return proxy, nil
}

// reviewerCredential returns the source of the reviewer's token: the configured
// one, else the pod's as it is on disk, else none.
func (b *backend) reviewerCredential(config *configEntry) func() string {
	if configured := strings.TrimSpace(config.TokenReviewerJWT); configured != "" {
		return func() string { return configured }
	}
	if config.DisableLocalCAJWT {
		return func() string { return "" }
	}
	return func() string {
		content, err := b.podToken.Read()
		if err != nil {
			return "" // not in a pod: the login token vouches for itself
		}
		return strings.TrimSpace(content)
	}
}

// hasCertificate tells whether a PEM bundle holds at least one certificate that
// parses.
func hasCertificate(bundle string) bool {
	for rest := []byte(bundle); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return false
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			return true
		}
	}
}
