package role

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-sockaddr"

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
	const pairs = "bound_service_accounts"
	say("audience", oneAudience(r.Audience))
	say("bound_service_account_names", typo.Names(r.ServiceAccountNames, pairs))
	say("bound_service_account_namespaces", typo.Names(r.ServiceAccountNamespaces, pairs))
	say("token_policies", typo.Words(r.TokenPolicies))
	say("policies", typo.Words(r.TokenPolicies))
	say("token_bound_cidrs", mistakenAddresses(r.TokenBoundCIDRs))
	say("bound_cidrs", mistakenAddresses(r.TokenBoundCIDRs))
	return lines
}

// oneAudience tells what is wrong with the one audience that Vault's own method has.
func oneAudience(audience string) string {
	if several := typo.Several(audience); len(several) > 1 && typo.ListInText(several) == "" {
		return fmt.Sprintf("%.64q is taken for one audience; several go into another field: write audience= bound_audiences=%s", audience, strings.Join(several, ","))
	}
	return typo.Audiences([]string{audience})
}

// mistakenAddresses tells of addresses that were read as the path of a Unix socket, which
// is what becomes of any text with a / that is no network, of networks with bits that do
// not count, and of ports, which do not either.
func mistakenAddresses(bound []*sockaddr.SockAddrMarshaler) string {
	reason, texts := "", make([]string, len(bound))
	for i, address := range bound {
		text, said := address.String(), ""
		socket, isSocket := address.SockAddr.(sockaddr.UnixSock)
		network, notNetwork := netip.ParsePrefix(text)
		at, notPort := netip.ParseAddrPort(text)
		switch {
		case isSocket && strings.HasPrefix(socket.Path(), "/"):
			// It may be meant so.
		case isSocket:
			text, said = socket.Path(), fmt.Sprintf("%.64q is no address and no network, and was read as the path of a Unix socket, which no client comes from", socket.Path())
		case notNetwork == nil && network != network.Masked():
			said = fmt.Sprintf("%q has bits that do not count, and is all of %s", text, network.Masked())
		case notPort == nil:
			text, said = at.Addr().String(), fmt.Sprintf("%q has a port, which does not count", text)
		}
		texts[i] = text
		if reason == "" {
			reason = said
		}
	}
	if reason == "" {
		return ""
	}
	if meant := typo.Addresses(texts); meant != "" {
		return reason + "; write " + meant
	}
	return reason + "; write addresses and networks with commas between them, such as 10.0.0.0/8,192.0.2.1"
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
