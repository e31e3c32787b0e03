package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/keys"
	"vault-plugin-auth-kubernetes/internal/live"
	"vault-plugin-auth-kubernetes/internal/pemtext"
	"vault-plugin-auth-kubernetes/internal/posture"
)

// maxTokenLifetime bounds max_token_lifetime where nobody is asked whether a token is still
// good.
const maxTokenLifetime = 7 * 24 * time.Hour

// UsesKeys tells whether the cluster's keys have a part in how tokens are verified.
func (c *Entry) UsesKeys() bool { return c.Verification == VerifyKeysThenReview || c.VerifiesLocally() }

// VerifiesLocally tells whether tokens are verified by the cluster's keys, and not by a
// review of each.
func (c *Entry) VerifiesLocally() bool {
	return c.Verification == VerifyKeys || c.Verification == VerifyLive
}

// LongestLifetime is how long a token may live with verification=keys: max_token_lifetime,
// or its default unless that was switched off. 0 is no bound.
func (c *Entry) LongestLifetime() time.Duration {
	if c.accepts(keys.AcceptLongLived) {
		return c.MaxTokenLifetime
	}
	return cmp.Or(c.MaxTokenLifetime, keys.DefaultMaxLifetime)
}

// NeedsAudience tells whether tokens are verified in a way that takes no role without an
// audience.
func (c *Entry) NeedsAudience() bool {
	return c.Verification == VerifyKeys && !c.accepts(keys.AcceptNoAudience)
}

// TakesAnyIssuer tells whether tokens may have any issuer whose keys the cluster has.
func (c *Entry) TakesAnyIssuer() bool { return c.accepts(keys.AcceptAnyIssuer) }

// WantedPosture is what every token has to be like: by the settings for that, and by the
// guards of verification=keys.
func (c *Entry) WantedPosture() posture.Posture {
	wanted := c.Posture
	if c.Verification == VerifyKeys {
		wanted.MaxTokenLifetime = c.LongestLifetime()
		wanted.RequirePodBoundTokens = wanted.RequirePodBoundTokens || !c.accepts(keys.AcceptNotPodBound)
	}
	return wanted
}

func (c *Entry) accepts(what string) bool { return slices.Contains(c.VerificationAccept, what) }

// Staleness is live_staleness, or its default.
func (c *Entry) Staleness() time.Duration { return cmp.Or(c.LiveStaleness, live.DefaultStaleness) }

// validateVerification checks how tokens are verified. What counts only for another way
// is refused: it would look as if it guarded something.
func (c *Entry) validateVerification() error {
	if !slices.Contains([]string{"", VerifyReview, VerifyKeysThenReview, VerifyKeys, VerifyLive}, c.Verification) {
		return fmt.Errorf("verification: it must be %s, %s, %s or %s", VerifyReview, VerifyKeysThenReview, VerifyKeys, VerifyLive)
	}
	for _, accepted := range c.VerificationAccept {
		if !slices.Contains(keys.Accepts, accepted) {
			return fmt.Errorf("verification_accept: it may hold %s", strings.Join(keys.Accepts, ", "))
		}
	}
	switch {
	case c.Verification != VerifyKeys && len(c.VerificationAccept) > 0:
		return errors.New("verification_accept needs verification=keys; take it back with an empty value")
	case c.Verification != VerifyLive && c.LiveStaleness != 0:
		return errors.New("live_staleness needs verification=live; take it back with 0")
	case !c.UsesKeys() && (c.JWKSURL != "" || c.OIDCDiscoveryURL != "" || c.JWKSCA != ""):
		return errors.New("jwks_url, oidc_discovery_url and jwks_ca_pem are for keys that tokens are verified by, and verification is review; take them back with empty values")
	case c.VerifiesLocally() && c.TokenReviewCacheTTL != 0:
		return fmt.Errorf("token_review_cache_ttl is for verification=%s or %s; take it back with 0", VerifyReview, VerifyKeysThenReview)
	case c.Verification == VerifyKeys && c.MaxTokenLifetime > maxTokenLifetime:
		return fmt.Errorf("max_token_lifetime: with verification=keys it must be %s or less, or 0 for the default", maxTokenLifetime)
	case c.LiveStaleness != 0 && (c.LiveStaleness < live.MinStaleness || c.LiveStaleness > live.MaxStaleness):
		return fmt.Errorf("live_staleness: it must be between %s and %s, or 0 for the default", live.MinStaleness, live.MaxStaleness)
	}
	return c.validateSources()
}

// validateSources checks where keys come from: one place, and an issuer where that does
// not tell it.
func (c *Entry) validateSources() error {
	for field, text := range map[string]string{"jwks_url": c.JWKSURL, "oidc_discovery_url": c.OIDCDiscoveryURL} {
		if parsed, err := url.Parse(text); text != "" && (err != nil || parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "") {
			return fmt.Errorf("%s: not an https URL without a user", field)
		}
	}
	sources := 0
	for _, set := range []bool{c.JWKSURL != "", c.OIDCDiscoveryURL != "", c.UsesKeys() && len(c.PEMKeys) > 0} {
		if set {
			sources++
		}
	}
	switch {
	case sources > 1:
		return errors.New("jwks_url, oidc_discovery_url, pem_keys: they are all of the cluster's keys, so one of them at most, unless verification is review")
	case c.VerifiesLocally() && c.JWKSURL != "" && c.Issuer == "":
		return errors.New("jwks_url: a key set does not tell the issuer that tokens must have; set issuer too")
	case c.OIDCDiscoveryURL != "" && c.Issuer != "" && c.Issuer != c.OIDCDiscoveryURL:
		return errors.New("oidc_discovery_url: it is the issuer, and issuer is another")
	case c.JWKSCA != "" && c.JWKSURL == "" && c.OIDCDiscoveryURL == "":
		return errors.New("jwks_ca_pem: it is for jwks_url and oidc_discovery_url")
	case c.JWKSCA != "" && !pemtext.HasCertificate(c.JWKSCA):
		return errors.New("jwks_ca_pem: no certificate in PEM form")
	}
	return nil
}
