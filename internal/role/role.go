// Package role is a role as it is stored, and made ready for logins: whom it is for, what
// it refuses, and what is wrong with one that is written. It knows a verified identity,
// and nothing of requests, of storage or of the network.
package role

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/strutil"
	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/ryanuber/go-glob"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/posture"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// Values of alias_name_source. Roles from before the field existed have none,
// which means the uid.
const (
	AliasNameSourceUID  = "serviceaccount_uid"
	AliasNameSourceName = "serviceaccount_name"
)

// Entry is a role as stored under role/<lower-case name>. The names are those
// of Vault's own method, which can read what is written here, and the other way
// round.
type Entry struct {
	tokenutil.TokenParams

	ServiceAccountNames             []string `json:"bound_service_account_names"`
	ServiceAccountNamespaces        []string `json:"bound_service_account_namespaces"`
	ServiceAccountNamespaceSelector string   `json:"bound_service_account_namespace_selector"`
	Audience                        string   `json:"audience"`
	AliasNameSource                 string   `json:"alias_name_source"`

	// What Vault's own method does not have. Left out where it is not used, so
	// that the entry is then exactly Vault's.
	BoundAudiences       []string `json:"bound_audiences,omitempty"`
	BoundServiceAccounts []string `json:"bound_service_accounts,omitempty"` // namespace/name, globs
	Selector             string   `json:"selector,omitempty"`
	OnlyByBindingRules   bool     `json:"only_by_binding_rules,omitempty"`
	UseBindingRules      bool     `json:"use_binding_rules,omitempty"`
	posture.Posture

	// What roles had before the token_* fields (Vault before 1.2), and what is
	// still accepted in place of them.
	Policies   []string                      `json:"policies"`
	NumUses    int                           `json:"num_uses"`
	TTL        time.Duration                 `json:"ttl"` // nanoseconds, like the two below
	MaxTTL     time.Duration                 `json:"max_ttl"`
	Period     time.Duration                 `json:"period"`
	BoundCIDRs []*sockaddr.SockAddrMarshaler `json:"BoundCIDRs"`
}

// Role is an Entry made ready for logins: upgraded, parsed and immutable.
type Role struct {
	*Entry
	// NamespaceSelector is nil if the role has none.
	NamespaceSelector *NamespaceSelector
	// Selector is nil if the role has none.
	Selector *binding.Selector
	// Unusable says why no login can use the role; nil if some can.
	Unusable error
	// stored is the digest of the entry that it was read from.
	stored [sha256.Size]byte
}

// Audiences are those of which a token must have one; none means any.
func (r *Entry) Audiences() []string {
	if r.Audience != "" {
		return []string{r.Audience}
	}
	return r.BoundAudiences
}

// ReservedPolicy is a policy of the role that no login gets, since Vault refuses to issue
// the token; "" if there is none.
func (r *Entry) ReservedPolicy() string { return binding.ReservedPolicy(r.TokenPolicies) }

// PolicyRefused says of a role what Vault does about such a policy.
func PolicyRefused(policy string) string {
	return fmt.Sprintf("has the policy %q in token_policies, which Vault gives to no token of an auth method: each login is refused with a 400", policy)
}

// StandsForRules tells whether binding rules stand behind the role: they give it, or decide
// about the logins that name it.
func (r *Entry) StandsForRules() bool { return r.OnlyByBindingRules || r.UseBindingRules }

// LeavesBoundsToRules tells whether the role is for whoever binding rules are for: they
// give it, or decide about the logins that name it, and it says nothing of names and
// namespaces itself.
func (r *Entry) LeavesBoundsToRules() bool {
	return r.StandsForRules() && len(r.BoundServiceAccounts) == 0 && len(r.ServiceAccountNames) == 0 &&
		len(r.ServiceAccountNamespaces) == 0 && r.ServiceAccountNamespaceSelector == ""
}

// LacksAudience tells whether the role takes tokens for any audience, or says so
// with nothing but space, which no token matches.
func (r *Entry) LacksAudience() bool {
	return strings.TrimSpace(r.Audience) == "" && len(r.BoundAudiences) == 0
}

// upgrade fills the fields of today from those of old where only those are set.
func (r *Entry) upgrade() {
	setIfZero(&r.TokenTTL, r.TTL)
	setIfZero(&r.TokenMaxTTL, r.MaxTTL)
	setIfZero(&r.TokenPeriod, r.Period)
	setIfZero(&r.TokenNumUses, r.NumUses)
	if len(r.TokenPolicies) == 0 {
		r.TokenPolicies = r.Policies
	}
	if len(r.TokenBoundCIDRs) == 0 {
		r.TokenBoundCIDRs = r.BoundCIDRs
	}
}

func setIfZero[T int | time.Duration](target *T, old T) {
	if *target == 0 && old > 0 {
		*target = old
	}
}

// Decode reads a role as it is stored, with the fields of old roles moved to those of
// today.
func Decode(stored []byte) (*Entry, error) {
	r := &Entry{}
	if err := json.Unmarshal(stored, r); err != nil {
		return nil, err
	}
	r.upgrade()
	return r, nil
}

// Compile makes a stored role ready for logins. What is wrong with its namespace
// Selector, which then matches nothing, is returned beside it: a selector that Vault's own
// method stored is parsed as leniently as Vault parses it.
func Compile(stored []byte) (r *Role, selectorError, err error) {
	entry, err := Decode(stored)
	if err != nil {
		return nil, nil, err
	}
	r = &Role{Entry: entry, stored: sha256.Sum256(stored)}
	if text := entry.ServiceAccountNamespaceSelector; text != "" {
		r.NamespaceSelector, selectorError = parseStoredNamespaceSelector(text)
	}
	if entry.Selector != "" {
		// A selector narrows, so one that cannot be read must not be left out.
		r.Selector, r.Unusable = binding.CompileSelector(entry.Selector)
	}
	return r, selectorError, nil
}

// IsOf tells whether the role is the one that is stored.
func (r *Role) IsOf(stored []byte) bool { return r.stored == sha256.Sum256(stored) }

// BindsPair tells whether the role is bound to the service account by one of its
// bound_service_accounts.
func (r *Role) BindsPair(id identity.Account) bool {
	return slices.ContainsFunc(r.BoundServiceAccounts, func(pair string) bool {
		namespace, name, _ := strings.Cut(pair, "/")
		return glob.Glob(namespace, id.Namespace()) && glob.Glob(name, id.Name())
	})
}

// BindsName tells whether the role is bound to the name of the service account.
func (r *Role) BindsName(id identity.Account) bool {
	return strutil.StrListContainsGlob(r.ServiceAccountNames, id.Name())
}

// BindsNamespace tells whether the role lists the namespace of the service
// account; the namespace selector, if any, is another way in.
func (r *Role) BindsNamespace(id identity.Account) bool {
	return strutil.StrListContainsGlob(r.ServiceAccountNamespaces, id.Namespace())
}

// AliasName is the name of the entity alias of a service account.
func (r *Role) AliasName(id identity.Account) (string, error) {
	switch r.AliasNameSource {
	case "", AliasNameSourceUID:
		return id.UID(), nil
	case AliasNameSourceName:
		return id.Namespace() + "/" + id.Name(), nil
	}
	return "", refusal.Misconfigured(fmt.Sprintf("the role has the unknown alias_name_source %q", r.AliasNameSource), "write the role anew", nil)
}
