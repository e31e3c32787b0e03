package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/strutil"
	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/ryanuber/go-glob"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// Values of alias_name_source. Roles from before the field existed have none,
// which means the uid.
const (
	aliasNameSourceUID  = "serviceaccount_uid"
	aliasNameSourceName = "serviceaccount_name"
)

// roleEntry is a role as stored under role/<lower-case name>. The names are those
// of Vault's own method, which can read what is written here, and the other way
// round.
type roleEntry struct {
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

	// What roles had before the token_* fields (Vault before 1.2), and what is
	// still accepted in place of them.
	Policies   []string                      `json:"policies"`
	NumUses    int                           `json:"num_uses"`
	TTL        time.Duration                 `json:"ttl"` // nanoseconds, like the two below
	MaxTTL     time.Duration                 `json:"max_ttl"`
	Period     time.Duration                 `json:"period"`
	BoundCIDRs []*sockaddr.SockAddrMarshaler `json:"BoundCIDRs"`
}

// role is a roleEntry made ready for logins: upgraded, parsed and immutable.
type role struct {
	*roleEntry
	// namespaceSelector is nil if the role has none.
	namespaceSelector *namespaceSelector
	// selector is nil if the role has none.
	selector *binding.Selector
	// unusable says why no login can use the role; nil if some can.
	unusable error
	// stored is the digest of the entry that it was read from.
	stored [sha256.Size]byte
}

// audiences are those of which a token must have one; none means any.
func (r *roleEntry) audiences() []string {
	if r.Audience != "" {
		return []string{r.Audience}
	}
	return r.BoundAudiences
}

// leavesBoundsToRules tells whether whoever a binding rule gives the role to may have
// it: it can be had in no other way, and says nothing of names and namespaces itself.
func (r *roleEntry) leavesBoundsToRules() bool {
	return r.OnlyByBindingRules && len(r.BoundServiceAccounts) == 0 && len(r.ServiceAccountNames) == 0 &&
		len(r.ServiceAccountNamespaces) == 0 && r.ServiceAccountNamespaceSelector == ""
}

// lacksAudience tells whether the role takes tokens for any audience, or says so
// with nothing but space, which no token matches.
func (r *roleEntry) lacksAudience() bool {
	return strings.TrimSpace(r.Audience) == "" && len(r.BoundAudiences) == 0
}

// storableRoleName is what the role path accepts. Login takes the name from its
// body, so it has to ask itself before it asks storage.
var storableRoleName = regexp.MustCompile("^" + framework.GenericNameRegex("name") + "$")

// maxRoleNameBytes bounds the key that a login can make the host look up.
const maxRoleNameBytes = 512

func roleKey(name string) string { return rolePrefix + roleCacheKey(name) }

// roleCacheKey is the one form of the names that differ only in case.
func roleCacheKey(name string) string { return strings.ToLower(name) }

// readRole reads a stored role, with the fields of old roles moved to those of
// today; nil if there is none.
func readRole(ctx context.Context, s logical.Storage, name string) (*roleEntry, error) {
	entry, err := s.Get(ctx, roleKey(name))
	if err != nil || entry == nil {
		return nil, err
	}
	return decodeRole(entry, name)
}

func decodeRole(entry *logical.StorageEntry, name string) (*roleEntry, error) {
	r := &roleEntry{}
	if err := entry.DecodeJSON(r); err != nil {
		return nil, fmt.Errorf("the stored role %q cannot be read: %w", name, err)
	}
	r.upgrade()
	return r, nil
}

// upgrade fills the fields of today from those of old where only those are set.
func (r *roleEntry) upgrade() {
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

// findRole returns the role of a login, or a refusal that names it as unknown. The name
// is looked at only where no role is remembered by just this one, which must be a good
// one then.
func (b *backend) findRole(ctx context.Context, s logical.Storage, name string) (*role, error) {
	if r, ok := b.roles.Peek(name); ok {
		return r, nil
	}
	unknown := refusal.OfRequest("there is no role of that name", fmt.Sprintf("invalid role name %q", name))
	if len(name) > maxRoleNameBytes || !storableRoleName.MatchString(name) {
		return nil, unknown
	}
	if isRelative(name) {
		return nil, refusal.OfRequest(relativePath, relativePath)
	}
	r, err := b.roles.Get(ctx, s, roleCacheKey(name))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, unknown
	}
	return r, nil
}

// loadRole is the cache's loader; last is the role as it was read before. A selector that Vault's own method stored is
// parsed as leniently as Vault parses it; one that cannot be parsed at all matches
// nothing.
func (b *backend) loadRole(ctx context.Context, s logical.Storage, name string, last *role) (*role, error) {
	b.metrics.RoleLoads.Inc()
	found, err := s.Get(ctx, roleKey(name))
	if err != nil || found == nil {
		return nil, err
	}
	stored := sha256.Sum256(found.Value)
	if last != nil && last.stored == stored {
		return last, nil
	}
	entry, err := decodeRole(found, name)
	if err != nil {
		return nil, err
	}
	r := &role{roleEntry: entry, stored: stored}
	if text := entry.ServiceAccountNamespaceSelector; text != "" {
		r.namespaceSelector, err = parseStoredNamespaceSelector(text)
		if err != nil {
			b.Logger().Warn("the namespace selector of a role cannot be parsed and matches nothing", "role", name, "error", err)
		}
	}
	if entry.Selector != "" {
		// A selector narrows, so one that cannot be read must not be left out.
		r.selector, r.unusable = binding.CompileSelector(entry.Selector)
	}
	return r, nil
}

// bindsPair tells whether the role is bound to the service account by one of its
// bound_service_accounts.
func (r *role) bindsPair(id identity.Identity) bool {
	return slices.ContainsFunc(r.BoundServiceAccounts, func(pair string) bool {
		namespace, name, _ := strings.Cut(pair, "/")
		return glob.Glob(namespace, id.Namespace()) && glob.Glob(name, id.Name())
	})
}

// bindsName tells whether the role is bound to the name of the service account.
func (r *role) bindsName(id identity.Identity) bool {
	return strutil.StrListContainsGlob(r.ServiceAccountNames, id.Name())
}

// bindsNamespace tells whether the role lists the namespace of the service
// account; the namespace selector, if any, is another way in.
func (r *role) bindsNamespace(id identity.Identity) bool {
	return strutil.StrListContainsGlob(r.ServiceAccountNamespaces, id.Namespace())
}

// aliasName is the name of the entity alias of a service account.
func (r *role) aliasName(id identity.Identity) (string, error) {
	switch r.AliasNameSource {
	case "", aliasNameSourceUID:
		return id.UID(), nil
	case aliasNameSourceName:
		return id.Namespace() + "/" + id.Name(), nil
	}
	return "", refusal.Misconfigured(fmt.Sprintf("the role has the unknown alias_name_source %q", r.AliasNameSource), "write the role anew", nil)
}

// validate refuses what no login could use, in the order and the words of Vault,
// and then what Vault's own method does not have. A namespace selector that was
// stored before, perhaps by Vault's method, and is not part of this write, is taken
// as it is.
func (r *roleEntry) validate(writesSelector bool) error {
	if err := r.validateBounds(writesSelector); err != nil {
		return err
	}
	for _, pair := range r.BoundServiceAccounts {
		namespace, name, ok := strings.Cut(pair, "/")
		if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
			return fmt.Errorf(`"bound_service_accounts" must be pairs namespace/name, %q is not`, pair)
		}
	}
	if len(r.BoundAudiences) > 0 && r.Audience != "" {
		return errors.New(`"audience" and "bound_audiences" are the same setting, one must be empty`)
	}
	if slices.Contains(r.BoundAudiences, "") {
		return errors.New(`"bound_audiences" can not hold an empty audience`)
	}
	_, err := binding.CompileSelector(r.Selector)
	return err
}

// validateBounds checks the bounds that Vault's own method has. A role that binds
// pairs needs none of them, nor does one that only binding rules give.
func (r *roleEntry) validateBounds(writesSelector bool) error {
	onlyPairs := len(r.BoundServiceAccounts) > 0 && len(r.ServiceAccountNames) == 0 &&
		len(r.ServiceAccountNamespaces) == 0 && r.ServiceAccountNamespaceSelector == ""
	if onlyPairs || r.leavesBoundsToRules() {
		return nil
	}
	if len(r.ServiceAccountNames) == 0 {
		return errors.New(`"bound_service_account_names" can not be empty`)
	}
	if mixesStar(r.ServiceAccountNames) {
		return errMixedStar
	}
	if len(r.ServiceAccountNamespaces) == 0 && r.ServiceAccountNamespaceSelector == "" {
		return errors.New(`"bound_service_account_namespaces" can not be empty if "bound_service_account_namespace_selector" is not set`)
	}
	if r.ServiceAccountNamespaceSelector != "" && writesSelector {
		if _, err := parseNamespaceSelector(r.ServiceAccountNamespaceSelector); err != nil {
			return fmt.Errorf(`invalid "bound_service_account_namespace_selector" configured: %w`, err)
		}
	}
	if mixesStar(r.ServiceAccountNamespaces) {
		return errMixedStar
	}
	return nil
}

var errMixedStar = errors.New(`can not mix "*" with values`)

func mixesStar(list []string) bool {
	return len(list) > 1 && strutil.StrListContains(list, "*")
}
