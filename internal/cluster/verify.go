package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/keys"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/live"
	"vault-plugin-auth-kubernetes/internal/token"
)

// verifyBy gives a cluster the keys and the reviewer that its configuration asks for, where
// that is not the API server alone.
func (o *Options) verifyBy(ctx context.Context, c *Cluster, ca string) error {
	if !c.Config.UsesKeys() {
		return nil
	}
	now := clock.Of(o.Now)
	source, err := o.source(c.Config, c.Client, now)
	if err != nil {
		return err
	}
	c.Source = source
	if c.Config.Verification == config.VerifyKeysThenReview {
		if c.Keys.Empty() { // a login goes by those of the configuration anyway
			c.Signing = newSigningKeys(ctx, source.KeySet, c.SelfReview, o.Now, o.After)
		}
		return nil
	}
	c.Issuers = nil // it is asked for by the way of verifying, of tokens whose keys it has
	if c.Config.Verification == config.VerifyLive {
		return o.verifyLive(c, ca, now)
	}
	guards := keys.Guards{MaxLifetime: c.Config.LongestLifetime(), Accepted: c.Config.VerificationAccept}
	reviewer := &keys.Reviewer{
		Guards: guards, Clock: now, Issuer: source.Issuer,
		Keys:    newSigningKeys(ctx, source.KeySet, c.SelfReview, o.Now, o.After),
		Counted: func(result string) { o.Verified(identity.ByKeys, result) },
	}
	if !c.Keys.Empty() {
		reviewer.Keys = keys.Fixed(c.Keys)
	}
	c.Reviewer, c.Anew, c.Asking = reviewer, reviewer, reviewer
	return nil
}

// source is where the keys come from, and the issuer that tokens must have.
func (o *Options) source(entry *config.Entry, client *kube.Client, now clock.Clock) (keys.Source, error) {
	if entry.JWKSURL == "" && entry.OIDCDiscoveryURL == "" {
		return &keys.Own{Cluster: client, Clock: now, Fixed: entry.Issuer}, nil
	}
	proxy, err := kube.ParseProxy(entry.ProxyURL)
	if err != nil {
		return nil, err
	}
	documents, err := kube.NewPublished(kube.Options{Proxy: proxy, RequestTimeout: entry.Timeout(), UserAgent: o.UserAgent}, entry.JWKSCA)
	if err != nil {
		return nil, err
	}
	if entry.JWKSURL != "" {
		return keys.Elsewhere{Documents: documents, Address: entry.JWKSURL, Of: entry.Issuer}, nil
	}
	return keys.Elsewhere{Documents: documents, Of: entry.OIDCDiscoveryURL}, nil
}

// verifyLive joins those who follow the same cluster with the same credential.
func (o *Options) verifyLive(c *Cluster, ca string, now clock.Clock) error {
	credential := o.Credential(c.Config)
	session, leave := o.Live.Join(o.sharedName(c.Config, ca), live.Options{
		Connect: func() (live.Cluster, error) {
			client, err := o.client(c.Config, ca, credential)
			if err != nil {
				return nil, err
			}
			source, err := o.source(c.Config, client, now)
			if err != nil {
				return nil, err
			}
			return &followed{Client: client, source: source, fixed: c.Keys}, nil
		},
		Clock: now, Staleness: c.Config.Staleness(), Jitter: o.Jitter, Failed: func(err error) { o.NotFollowed(c.Config.Host, err) },
	})
	c.Live, c.leave = session, leave
	c.judged = func(result string) { o.Verified(identity.ByLive, result) }
	c.Reviewer = &live.Reviewer{Session: session, Ask: c.Asking, Counted: c.judged}
	c.Anew = c.Reviewer // explain goes the way of a login
	return nil
}

// sharedName is a digest of all that a session depends on. The pod's own token changes in
// place, and is the same for all who use it; those that a mount makes are its own.
func (o *Options) sharedName(entry *config.Entry, ca string) string {
	own := ""
	if entry.MakesReviewerTokens() {
		own = fmt.Sprintf("%p %s", o, entry.ReviewerAccount)
	}
	text, err := json.Marshal([]any{
		own,
		entry.Host, ca, entry.TLSServerName, entry.ProxyURL, entry.TokenReviewerJWT, entry.ClientCert, entry.ClientKey, entry.DisableLocalCAJWT,
		entry.Issuer, entry.JWKSURL, entry.OIDCDiscoveryURL, entry.JWKSCA, entry.PEMKeys, entry.Timeout(), entry.Staleness(),
	})
	if err != nil {
		panic(err) // texts always marshal
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// followed is a cluster as a session follows it, over connections of its own.
type followed struct {
	*kube.Client
	source keys.Source
	fixed  token.Keys // pem_keys, in place of what the source has
}

// Keys reads the keys and the issuer.
func (f *followed) Keys(ctx context.Context) (token.Keys, string, error) {
	if !f.fixed.Empty() {
		return f.fixed, f.source.Issuer(ctx), nil
	}
	known, err := FetchKeys(ctx, f.source.KeySet, "")
	if err != nil {
		return token.Keys{}, "", err
	}
	return known, f.source.Issuer(ctx), nil
}
