package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
)

// Fields are pointers to the fields of the entry by the names that the path has for them.
func (c *Entry) Fields() map[string]any {
	all := make(map[string]any, len(fields))
	for _, f := range fields {
		all[f.name] = f.in(c)
	}
	return all
}

// AddedFields are the names of those that Vault's own method does not have.
func AddedFields() []string {
	var names []string
	for _, f := range fields {
		if f.added {
			names = append(names, f.name)
		}
	}
	return names
}

// Data is what reading the configuration returns: every field but the reviewer's
// credential, and where nothing was set, the default that counts.
func (c *Entry) Data() map[string]any {
	data := c.OnlyRead()
	shown := c.shown()
	for field, target := range shown.Fields() {
		if slices.Contains(NeverRead(), field) {
			continue
		}
		data[field] = reflect.ValueOf(target).Elem().Interface()
		if duration, ok := data[field].(time.Duration); ok {
			data[field] = int64(duration.Seconds())
		}
	}
	if c.ProxyURL != "" {
		data["proxy_url"] = kube.ShownProxy(c.ProxyURL)
	}
	return data
}

// OnlyRead are the fields that a read returns and no write takes. c may be nil.
func (c *Entry) OnlyRead() map[string]any {
	return map[string]any{
		"token_reviewer_jwt_set":     c != nil && c.HasReviewer(),
		"kubernetes_client_cert_set": c != nil && c.HasClientCertificate(),
	}
}

// shown is the configuration with the defaults that count where nothing was set.
func (c *Entry) shown() Entry {
	shown := *c
	shown.RequestTimeout = c.Timeout()
	shown.MaxConcurrentReviews = cmp.Or(c.MaxConcurrentReviews, kube.DefaultMaxConcurrent)
	shown.Verification = cmp.Or(c.Verification, VerifyReview)
	if c.Verification == VerifyKeys {
		shown.MaxTokenLifetime = c.LongestLifetime()
	}
	if c.Verification == VerifyLive {
		shown.LiveStaleness = c.Staleness()
	}
	if shown.VerificationAccept == nil {
		shown.VerificationAccept = []string{}
	}
	if c.MakesReviewerTokens() {
		shown.ReviewerTTL = c.WantedReviewer().Life
	}
	shown.RenewalCheck = cmp.Or(c.RenewalCheck, RenewalCheckAccount)
	if shown.ConsulNamespaceOverrides == nil {
		shown.ConsulNamespaceOverrides = map[string]string{}
	}
	if shown.BindingRuleAudiences == nil {
		shown.BindingRuleAudiences = []string{}
	}
	return shown
}

// SettleReviewer notes that a write took the reviewer's token away without saying so,
// as Vault's own semantics have it: a write that does not name token_reviewer_jwt
// replaces it with nothing, and each login then reviews itself, which it mostly may
// not. The note stands until a write names token_reviewer_jwt, empty or not.
func (c *Entry) SettleReviewer(before *Entry, named bool) {
	if namespace, name := identity.SplitAccount(c.ReviewerAccount); namespace != "" {
		c.ReviewerAccount = namespace + "/" + name
	}
	had := before != nil && (before.HasReviewer() || before.ReviewerDropped)
	c.ReviewerDropped = had && !named && !c.HasReviewer() && !c.HasClientCertificate() && !c.MakesReviewerTokens()
}

// LostFrom are the fields of Vault's own method that a write took back to their defaults
// without naming them; token_reviewer_jwt has a warning of its own.
func (c *Entry) LostFrom(before *Entry, raw map[string]any) []string {
	if before == nil {
		return nil
	}
	var lost []string
	after, was := c.Fields(), before.Fields()
	for field := range after {
		_, named := raw[field]
		if named || field == "token_reviewer_jwt" || slices.Contains(AddedFields(), field) {
			continue
		}
		if is, had := fmt.Sprint(reflect.ValueOf(after[field]).Elem()), fmt.Sprint(reflect.ValueOf(was[field]).Elem()); is != had {
			lost = append(lost, field)
		}
	}
	slices.Sort(lost)
	return lost
}

// HasReviewer tells whether there is a reviewer's token; blank, it is none.
func (c *Entry) HasReviewer() bool { return strings.TrimSpace(c.TokenReviewerJWT) != "" }

// KeepUnset leaves a setting unset that was, where the default is written that a read shows
// in its place: what was read can be written back, and then nothing changed.
func (c *Entry) KeepUnset(before *Entry) {
	if before == nil {
		return
	}
	shown := before.shown()
	keep(&c.RequestTimeout, before.RequestTimeout, shown.RequestTimeout)
	keep(&c.MaxConcurrentReviews, before.MaxConcurrentReviews, shown.MaxConcurrentReviews)
	keep(&c.ReviewerTTL, before.ReviewerTTL, shown.ReviewerTTL)
	keep(&c.RenewalCheck, before.RenewalCheck, shown.RenewalCheck)
	keep(&c.Verification, before.Verification, shown.Verification)
	if c.Verification == before.Verification { // their defaults are those of a way to verify
		keep(&c.MaxTokenLifetime, before.MaxTokenLifetime, shown.MaxTokenLifetime)
		keep(&c.LiveStaleness, before.LiveStaleness, shown.LiveStaleness)
	}
	if before.PEMKeys == nil && slices.Equal(c.PEMKeys, before.PEMKeys) {
		c.PEMKeys = nil // an import stores no list, where a write stores an empty one
	}
}

func keep[T comparable](now *T, stored, shown T) {
	if *now == shown {
		*now = stored
	}
}
