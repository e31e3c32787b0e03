package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

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
// token, and where nothing was set, the default that counts.
func (c *Entry) Data() map[string]any {
	data := map[string]any{"token_reviewer_jwt_set": c.TokenReviewerJWT != ""}
	shown := *c
	shown.RequestTimeout = c.Timeout()
	shown.MaxConcurrentReviews = cmp.Or(c.MaxConcurrentReviews, kube.DefaultMaxConcurrent)
	shown.RenewalCheck = cmp.Or(c.RenewalCheck, renewalCheckAccount)
	if shown.ConsulNamespaceOverrides == nil {
		shown.ConsulNamespaceOverrides = map[string]string{}
	}
	if shown.BindingRuleAudiences == nil {
		shown.BindingRuleAudiences = []string{}
	}
	for field, target := range shown.Fields() {
		if field == "token_reviewer_jwt" {
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

// SettleReviewer notes that a write took the reviewer's token away without saying so,
// as Vault's own semantics have it: a write that does not name token_reviewer_jwt
// replaces it with nothing, and each login then reviews itself, which it mostly may
// not. The note stands until a write names token_reviewer_jwt, empty or not.
func (c *Entry) SettleReviewer(before *Entry, named bool) {
	had := before != nil && (before.hasReviewer() || before.ReviewerDropped)
	c.ReviewerDropped = had && !named && !c.hasReviewer()
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

func (c *Entry) hasReviewer() bool { return strings.TrimSpace(c.TokenReviewerJWT) != "" }
