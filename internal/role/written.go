package role

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/numbers"
	"vault-plugin-auth-kubernetes/internal/typo"
)

// WrittenWarnings say what of a role that was written may mean something else than was
// meant. Vault's own method takes it without a word, so it is stored all the same. data is
// what was written, and isNew whether the role is.
func (r *Entry) WrittenWarnings(data map[string]any, isNew bool, mount binding.Setting) []string {
	named := func(field string) bool { _, named := data[field]; return named }
	warnings := slices.Concat(r.ReadAsOther(data), r.MistakenLists(named))
	if named("selector") {
		warnings = append(warnings, r.selectorWarnings(isNew, mount)...)
	}
	return warnings
}

// selectorWarnings say that a selector which was written narrows nothing.
func (r *Entry) selectorWarnings(isNew bool, mount binding.Setting) []string {
	switch selector, err := binding.CompileSelector(r.Selector); {
	case err != nil, strings.TrimSpace(r.Selector) == binding.Everything:
	case r.Selector == "":
		if isNew { // otherwise it is said where one was before
			return []string{"selector is empty, so it narrows nothing: the role is for all that its other bounds allow."}
		}
	case selector.HoldsForAnybody(mount):
		return []string{"selector narrows nothing, or next to nothing: it holds whatever namespaces and names were tried, and the role is for all that its other bounds allow. If that is meant, say so with selector='*'."}
	}
	return nil
}

// ReadAsOther says which durations and numbers of a write were read as others: Vault keeps
// whole seconds, so 500ms is none, and a limit that is none is no limit. data is what was
// written.
func (r *Entry) ReadAsOther(data map[string]any) []string {
	var lines []string
	add := func(line string) {
		if line != "" {
			lines = append(lines, line)
		}
	}
	for _, field := range []struct {
		name, old string
		read      time.Duration
		zero      string
	}{
		{"token_ttl", "ttl", r.TokenTTL, "the mount's default"},
		{"token_max_ttl", "max_ttl", r.TokenMaxTTL, "the mount's maximum"},
		{"token_explicit_max_ttl", "", r.TokenExplicitMaxTTL, "no limit"},
		{"token_period", "period", r.TokenPeriod, "no period"},
	} {
		add(numbers.DurationReadAs(data, writtenAs(data, field.name, field.old), field.read, field.zero))
	}
	add(numbers.CountReadAs(data, writtenAs(data, "token_num_uses", "num_uses"), r.TokenNumUses, "no limit"))
	return lines
}

// writtenAs is the name by which a write names a setting: the old one only where it does
// not have that of today, which counts.
func writtenAs(data map[string]any, field, old string) string {
	if _, named := data[field]; !named && old != "" {
		return old
	}
	return field
}

// MistakenLists says which lists that Vault's own method has, of those that a write names,
// hold what no name can be. They are stored as they are, as there.
func (r *Entry) MistakenLists(named func(field string) bool) []string {
	var lines []string
	say := func(field, reason string) {
		if reason != "" && named(field) {
			lines = append(lines, fmt.Sprintf("%s: %s.", field, reason))
		}
	}
	say("audience", typo.Audiences([]string{r.Audience}))
	say("bound_service_account_names", typo.ListInText(r.ServiceAccountNames))
	say("bound_service_account_namespaces", typo.ListInText(r.ServiceAccountNamespaces))
	say("token_policies", typo.ListInText(r.TokenPolicies))
	say("policies", typo.ListInText(r.TokenPolicies))
	return lines
}

// CheckWrittenLists refuses the same in lists that Vault's own method does not have. What is
// stored goes on.
func (r *Entry) CheckWrittenLists(before *Entry) error {
	if reason := typo.Audiences(r.BoundAudiences); reason != "" && !slices.Equal(r.BoundAudiences, before.BoundAudiences) {
		return fmt.Errorf(`"bound_audiences": %s`, reason)
	}
	if reason := typo.ListInText(r.BoundServiceAccounts); reason != "" && !slices.Equal(r.BoundServiceAccounts, before.BoundServiceAccounts) {
		return fmt.Errorf(`"bound_service_accounts": %s`, reason)
	}
	return nil
}
