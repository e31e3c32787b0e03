package main

import (
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// addToken adds what the host would make a token from: the very structure that a
// login answers with, under the names of the fields of a role.
func (a *explainAnswer) addToken(data map[string]any) {
	auth := a.login.auth(a.role)
	data["policies"] = a.bounded(auth.Policies)
	data["display_name"] = auth.DisplayName
	data["alias_name"] = auth.Alias.Name
	a.addMap(data, "alias_metadata", merged(auth.Alias.CustomMetadata, auth.Alias.Metadata))
	if left := a.login.annotations.left; len(left) > 0 {
		data["annotations_left_out"] = a.bounded(left)
	}
	a.addMap(data, "token_metadata", auth.Metadata)
	data["token_type"] = auth.TokenType.String()
	data["token_ttl"] = seconds(auth.TTL)
	data["token_max_ttl"] = seconds(auth.MaxTTL)
	a.addIfSet(data, auth)
}

// addIfSet adds the settings that most roles leave alone.
func (a *explainAnswer) addIfSet(data map[string]any, auth *logical.Auth) {
	for key, d := range map[string]time.Duration{"token_explicit_max_ttl": auth.ExplicitMaxTTL, "token_period": auth.Period} {
		if d != 0 {
			data[key] = seconds(d)
		}
	}
	if auth.NumUses != 0 {
		data["token_num_uses"] = auth.NumUses
	}
	if auth.NoDefaultPolicy {
		data["token_no_default_policy"] = true
	}
	if len(auth.BoundCIDRs) > 0 {
		data["token_bound_cidrs"] = strings.Split(addresses(auth.BoundCIDRs), ", ")
	}
	if len(auth.GroupAliases) > 0 {
		names := make([]string, len(auth.GroupAliases))
		for i, group := range auth.GroupAliases {
			names[i] = group.Name
		}
		data["group_aliases"] = a.bounded(names)
	}
}

// bounded is a list as it stands in the answer; policies and groups are as many as
// there are rules at most, and their names as long as a name may be.
func (a *explainAnswer) bounded(list []string) []string {
	texts := make([]string, 0, len(list))
	for _, text := range list {
		texts = append(texts, a.text(text, maxExplainedReason))
	}
	return texts
}

// seconds is how durations stand in answers; the vault command prints them as 20m.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }
