package role

import (
	"fmt"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/scrub"
)

// WidenedFrom says which bounds and limits of the role as it was before are gone. Most of
// them go by an empty value, and that may be what is left of a variable that was not set;
// limits also by 0 or false, which are meant, so of these only empty values count. The
// bounds that are not here add to who may log in, or may not be empty.
func (r *Entry) WidenedFrom(before *Entry, emptied func(field string) bool) []string {
	var widened []string
	if before.Selector != "" && r.Selector == "" {
		widened = append(widened, "selector is empty now, so the role no longer asks for: "+bounded(before.Selector))
	}
	if !before.LacksAudience() && r.LacksAudience() {
		widened = append(widened, r.anyAudience(bounded(strings.Join(before.Audiences(), ", "))))
	}
	if before.UseBindingRules && !r.UseBindingRules {
		widened = append(widened, "use_binding_rules is off now: whoever is within the bounds of the role gets its policies, whatever binding rules say.")
	}
	if len(before.TokenBoundCIDRs) > 0 && len(r.TokenBoundCIDRs) == 0 {
		addresses := make([]string, len(before.TokenBoundCIDRs))
		for i, address := range before.TokenBoundCIDRs {
			addresses[i] = address.String()
		}
		widened = append(widened, fmt.Sprintf("token_bound_cidrs is empty now, so the role can be used from any address; before, from %s only.", bounded(strings.Join(addresses, ", "))))
	}
	if before.OnlyByBindingRules && !r.OnlyByBindingRules {
		widened = append(widened, "only_by_binding_rules is false now, so whoever the bounds of the role allow can log in by naming it; before, only binding rules gave it.")
	}
	if before.bindsAnybody() && r.LeavesBoundsToRules() {
		widened = append(widened, "The role has no bounds of its own now: whoever a binding rule gives it to has it.")
	}
	return append(widened, r.limitsGone(before, emptied)...)
}

// anyAudience says what the loss of the role's audience means. A role that only binding
// rules give takes no other tokens than the mount does.
func (r *Entry) anyAudience(before string) string {
	if r.StandsForRules() {
		return fmt.Sprintf("The role no longer asks for an audience of its own; before, for %s only. It takes the tokens that log in by binding rules.", before)
	}
	return fmt.Sprintf("The role now takes tokens for any audience; before, for %s only.", before)
}

// bindsAnybody tells whether the role says whom it is for.
func (r *Entry) bindsAnybody() bool {
	return len(r.BoundServiceAccounts) > 0 || len(r.ServiceAccountNames) > 0 ||
		len(r.ServiceAccountNamespaces) > 0 || r.ServiceAccountNamespaceSelector != ""
}

// limitsGone says which limits of the role's tokens went by an empty value, by the name of
// today or the old one.
func (r *Entry) limitsGone(before *Entry, emptied func(field string) bool) []string {
	var gone []string
	say := func(field string, isGone bool, was any) {
		if isGone && (emptied(field) || emptied(strings.TrimPrefix(field, "token_"))) {
			gone = append(gone, fmt.Sprintf("%s was named with an empty value, and the limit is gone; before, it was %v.", field, was))
		}
	}
	for _, limit := range []struct {
		field    string
		was, now time.Duration
	}{
		{"token_ttl", before.TokenTTL, r.TokenTTL},
		{"token_max_ttl", before.TokenMaxTTL, r.TokenMaxTTL},
		{"token_explicit_max_ttl", before.TokenExplicitMaxTTL, r.TokenExplicitMaxTTL},
		{"token_period", before.TokenPeriod, r.TokenPeriod},
		{"max_token_lifetime", before.MaxTokenLifetime, r.MaxTokenLifetime},
	} {
		say(limit.field, limit.was != 0 && limit.now == 0, limit.was)
	}
	say("token_num_uses", before.TokenNumUses != 0 && r.TokenNumUses == 0, before.TokenNumUses)
	say("token_no_default_policy", before.TokenNoDefaultPolicy && !r.TokenNoDefaultPolicy, true)
	return gone
}

func bounded(text string) string { return scrub.Bounded(text, maxWidenedBytes) }

// maxWidenedBytes bounds what a warning repeats of a bound that is gone.
const maxWidenedBytes = 300
