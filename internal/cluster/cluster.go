// Package cluster is the Kubernetes cluster of a mount, made ready for logins: who is asked
// about tokens, with which credential, by which keys tokens are signed, and what else may be
// looked at. It knows neither roles nor rules, and decides nothing about who may log in.
package cluster

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/keys"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/live"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
	"vault-plugin-auth-kubernetes/internal/token"
)

// Cluster is what a configuration comes to. It is immutable; logins that began with one end
// with it.
type Cluster struct {
	Config *config.Entry
	Client *kube.Client
	// Keys are pem_keys of the configuration.
	Keys token.Keys
	// Signing are the cluster's own keys, which a token has to be signed with for it to be
	// reviewed; nil unless the configuration asks for that.
	Signing *SigningKeys
	// Reviewers are asked whose a token is.
	Reviewers
	// Source is where the cluster's keys come from, and the issuer that tokens must have;
	// nil where keys have no part in it.
	Source keys.Source
	// Live is what knows who is gone; nil unless the configuration asks for it.
	Live *live.Session
	// SelfReview tells whether reviews and look-ups are made with the login token's own
	// authority, since there is no other credential.
	SelfReview func() bool
	// Issuers are those of which tokens must have one; none if any may.
	Issuers []string
	// PodCA is the pod's CA bundle that the client trusts, or "" if it does
	// not use the pod's.
	PodCA string

	// remembering is what remembers confirmations; nil unless the configuration asks for it.
	remembering *rememberingReviewer
	// reviewed and judged are told how reviews ended, as Options.Reviewed and Verified are.
	reviewed func(err error)
	judged   func(result string)

	// leave ends what the cluster shares with others.
	leave func()
	// stored is the digest of the entry that it was made of.
	stored [sha256.Size]byte
}

// Reviewers are those who can be asked whose a token is.
type Reviewers struct {
	// Reviewer may remember what it was told a moment ago; Anew never does.
	Reviewer, Anew Reviewer
	// Asking is the one that asks the API server, whatever the configuration says of how
	// tokens are verified.
	Asking Reviewer
}

// Deadline bounds everything that a login or a renewal asks the cluster.
func (c *Cluster) Deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*c.Config.Timeout())
}

// Options are what a cluster needs besides its configuration.
type Options struct {
	// PodCA and PodToken read the files of the pod that Vault is in.
	PodCA, PodToken func() (string, error)
	// Reviewer makes the reviewer that asks the API server.
	Reviewer func(c *Cluster) Reviewer
	Now      func() time.Time
	// After is time.After, or what tests replace it with.
	After func(d time.Duration) <-chan time.Time
	// UserAgent is how requests name the plugin.
	UserAgent string

	Meter *kube.Meter
	// Turn is waited for before a long answer is read; see kube.Options.
	Turn func(ctx context.Context) (release func(), err error)
	// Loaded, Reviewed and Looked are told that the configuration was read, how a review
	// ended, and whether one was remembered.
	Loaded   func()
	Reviewed func(err error)
	Looked   func(hit bool)
	// Verified is told how a token was judged without asking, and NotFollowed why nobody
	// knows of late who is gone.
	Verified    func(by identity.Means, result string)
	NotFollowed func(host string, err error)
	// Live are the sessions of the process, which begin after Jitter at most.
	Live   *live.Shared
	Jitter time.Duration

	// own is the token that the mount made for the reviewer, as it was read last.
	own atomic.Pointer[reviewertoken.Entry]
}

// Credential returns the source of the reviewer's token: the configured
// one, else the pod's as it is on disk, else none. A reviewer that is known by a certificate
// has no token. Of a reviewer whose tokens the mount makes, it is the last of these.
func (o *Options) Credential(entry *config.Entry) func() string {
	if want := entry.WantedReviewer(); want.Account != "" {
		return func() string {
			if own := o.own.Load(); own.Serves(want) {
				return own.Token
			}
			return want.First
		}
	}
	if configured := strings.TrimSpace(entry.TokenReviewerJWT); configured != "" {
		return func() string { return configured }
	}
	if entry.DisableLocalCAJWT || entry.HasClientCertificate() {
		return func() string { return "" }
	}
	return func() string {
		content, err := o.PodToken()
		if err != nil {
			return "" // not in a pod: the login token vouches for itself
		}
		return strings.TrimSpace(content)
	}
}

// make makes a configuration ready for logins. What it has in the background ends with ctx.
func (o *Options) make(ctx context.Context, entry *config.Entry) (c *Cluster, err error) {
	c = &Cluster{Config: entry, Issuers: entry.EnforcedIssuers()}
	if c.Keys, err = token.ParseKeys(entry.PEMKeys); err != nil {
		return nil, refusal.Misconfigured("pem_keys cannot be used", "write the configuration anew", err)
	}
	ca := entry.CACert
	if ca == "" && !entry.DisableLocalCAJWT {
		if c.PodCA, err = o.PodCA(); err != nil {
			return nil, refusal.Misconfigured("the pod's CA certificate cannot be read",
				"set kubernetes_ca_cert, or disable_local_ca_jwt=true where Vault does not run in a pod", err)
		}
		ca = c.PodCA
	}
	credential := o.Credential(entry)
	if c.Client, err = o.client(entry, ca, credential); err != nil {
		return nil, refusal.Misconfigured("no client can be made", "write the configuration anew", err)
	}
	c.SelfReview = func() bool {
		return credential() == "" && !entry.HasClientCertificate() && !entry.MakesReviewerTokens()
	}
	c.reviewed = o.Reviewed
	c.Anew = &countedReviewer{next: o.Reviewer(c), count: c.reviewed}
	c.Reviewer = c.Anew
	if entry.TokenReviewCacheTTL > 0 {
		c.remembering = newRememberingReviewer(ctx, c.Anew, entry.TokenReviewCacheTTL, o.Now, o.Looked)
		c.Reviewer = c.remembering
	}
	c.Asking = c.Reviewer
	if err := o.verifyBy(ctx, c, ca); err != nil {
		return nil, refusal.Misconfigured("no source of the cluster's keys can be made", "write the configuration anew", err)
	}
	return c, nil
}

// close drops what the cluster holds. Logins in flight end on it.
func (c *Cluster) close() {
	c.Client.Close()
	if c.leave != nil {
		c.leave()
	}
}

func (o *Options) client(entry *config.Entry, ca string, credential func() string) (*kube.Client, error) {
	host, err := kube.ParseHost(entry.Host)
	if err != nil {
		return nil, fmt.Errorf("kubernetes_host: %w", err)
	}
	proxy, err := kube.ParseProxy(entry.ProxyURL)
	if err != nil {
		return nil, err
	}
	certificate, err := entry.ClientCertificate()
	if err != nil {
		return nil, err
	}
	return kube.New(kube.Options{
		Host:           host,
		Certificate:    certificate,
		CAPEM:          ca,
		ServerName:     entry.TLSServerName,
		Proxy:          proxy,
		Credential:     credential,
		RequestTimeout: entry.Timeout(),
		MaxConcurrent:  int64(entry.MaxConcurrentReviews),
		UserAgent:      o.UserAgent,
		Meter:          o.Meter,
		Turn:           o.Turn,
	})
}
