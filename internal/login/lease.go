package login

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/posture"
)

// What the host keeps with the lease of a token. leaseRole is all that Vault's own
// method writes and reads, so it is always there.
const (
	leaseRole     = "role"
	leaseIdentity = "identity"
	leaseGrants   = "grants"
	leaseAddress  = "source_address"
	leaseToken    = "token_kind"
)

// Lease is what the host keeps with a token of the mount.
type Lease struct {
	// Data is what Outcome.Lease left there, or Vault's own method.
	Data map[string]any
	// Metadata is that of the token.
	Metadata map[string]string
	// TTL is how long the token lives from one renewal to the next; 0 if that is not known.
	TTL time.Duration
}

// leastLook is how long a renewal may look at the cluster in any case.
const leastLook = time.Second

// looking bounds all looks of a renewal together: clients renew when about a third of the time
// is left, and a token must not end while somebody looks at a cluster that does not answer.
func (l Lease) looking(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.TTL <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, max(l.TTL/4, leastLook))
}

// Role is the one that the token was had under; empty for a token by rules.
func (l Lease) Role() string {
	name, _ := l.Data[leaseRole].(string)
	return name
}

// Lease is what the renewal of the token goes by: under a role its name, and by rules all
// that rules, and the bounds of roles, looked at and that nobody could tell then.
func (o *Outcome) Lease(role string) map[string]any {
	// Vault's own method, should the mount be switched back, expects the key.
	lease := map[string]any{leaseRole: role}
	if o.Granted == nil {
		return lease
	}
	lease[leaseIdentity] = o.Identity.ForLease()
	lease[leaseGrants] = fingerprint(o.Granted.Grants)
	lease[leaseToken] = asText(o.Token)
	if address, known := o.Source.Address(); known {
		lease[leaseAddress] = address
	}
	return lease
}

// source is where the login came from: whoever renews may be elsewhere, and the host
// checks that by itself.
func (l Lease) source() Source {
	if address, ok := l.Data[leaseAddress].(string); ok {
		return From(address)
	}
	return SourceNotReported
}

// token is what kind of token the login was made with. Nothing is known of those from before
// leases said it, and what is asked for does not hold for them.
func (l Lease) token() (t posture.Token) {
	if text, ok := l.Data[leaseToken].(string); ok && json.Unmarshal([]byte(text), &t) == nil {
		return t
	}
	return posture.Token{}
}

// groups are those of a lease by rules, for its renewal: the host keeps in
// the lease only those that existed at login, and would take the entity, which newer
// tokens have too, out of any that came later.
func (l Lease) groups() []string {
	text, _ := l.Data[leaseGrants].(string)
	var lists [][]string
	if json.Unmarshal([]byte(text), &lists) != nil || len(lists) <= fingerprintGroups {
		return nil
	}
	return slices.Clone(lists[fingerprintGroups])
}

// fingerprintGroups is where the groups are in a fingerprint.
const fingerprintGroups = 1

// fingerprint is the same for two logins that were granted the same.
func fingerprint(g binding.Grants) string {
	return asText([][]string{g.Policies, g.Groups, g.Services, g.Nodes})
}

func asText(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings, numbers and flags always marshal
	}
	return string(text)
}
