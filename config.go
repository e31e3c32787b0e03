package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/pemtext"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// connection is a configuration made ready for logins: parsed, immutable, with
// the client that asks its API server.
type connection struct {
	config *config.Entry
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
	return context.WithTimeout(ctx, 2*c.config.Timeout())
}

// connection returns what logins use now, or nil if the mount has no
// configuration. A pod CA that was replaced on disk is picked up here.
func (b *backend) connection(ctx context.Context, s logical.Storage) (*connection, error) {
	c, err := b.connections.Get(ctx, s, config.Path)
	if err != nil || c == nil || !b.podCAChanged(c) {
		return c, err
	}
	b.connections.Drop(config.Path)
	return b.connections.Get(ctx, s, config.Path)
}

func (b *backend) podCAChanged(c *connection) bool {
	if c.podCA == "" {
		return false
	}
	current, err := b.podCA.Read()
	// A bundle that is gone or half-written is no reason to give up one that
	// worked.
	return err == nil && current != c.podCA && pemtext.HasCertificate(current)
}

// loadConnection is the cache's loader. A configuration that cannot work is an
// error each time, so that it heals as soon as its cause does.
func (b *backend) loadConnection(ctx context.Context, s logical.Storage, _ string, _ *connection) (*connection, error) {
	b.metrics.ConfigLoads.Inc()
	entry, err := s.Get(ctx, config.Path)
	if err != nil || entry == nil {
		return nil, err
	}
	stored := sha256.Sum256(entry.Value)
	b.making.Lock() // of several that read it at once, one makes a connection
	defer b.making.Unlock()
	if made := b.made.Load(); made != nil && made.stored == stored && !b.podCAChanged(made) {
		return made, nil
	}
	config, err := config.Decode(entry)
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
func (b *backend) newConnection(config *config.Entry) (c *connection, err error) {
	c = &connection{config: config}
	c.issuer = config.EnforcedIssuer()
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

func newClient(config *config.Entry, ca string, credential func() string, meter *kube.Meter) (*kube.Client, error) {
	host, err := kube.ParseHost(config.Host)
	if err != nil {
		return nil, fmt.Errorf("kubernetes_host: %w", err)
	}
	proxy, err := kube.ParseProxy(config.ProxyURL)
	if err != nil {
		return nil, err
	}
	return kube.New(kube.Options{
		Host:           host,
		CAPEM:          ca,
		ServerName:     config.TLSServerName,
		Proxy:          proxy,
		Credential:     credential,
		RequestTimeout: config.Timeout(),
		MaxConcurrent:  int64(config.MaxConcurrentReviews),
		UserAgent:      "vault-plugin-auth-kubernetes/" + version,
		Meter:          meter,
	})
}

// reviewerCredential returns the source of the reviewer's token: the configured
// one, else the pod's as it is on disk, else none.
func (b *backend) reviewerCredential(config *config.Entry) func() string {
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
