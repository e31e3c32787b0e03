package role

import (
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/logical"
)

// Settings are the strictest of several roles' token settings.
type Settings struct {
	TTL, MaxTTL, ExplicitMaxTTL, Period time.Duration // 0 means the mount's
	NumUses                             int           // 0 means unlimited
	NoDefaultPolicy                     bool
	TokenType                           logical.TokenType
	CIDRs                               []*sockaddr.SockAddrMarshaler // none means any
	NoAddressLeft                       bool
	joined                              bool
}

// Join makes the settings as strict as the role's, if they are not stricter.
func (s *Settings) Join(r *Role) {
	s.TTL = lesser(s.TTL, r.TokenTTL)
	s.MaxTTL = lesser(s.MaxTTL, r.TokenMaxTTL)
	s.ExplicitMaxTTL = lesser(s.ExplicitMaxTTL, r.TokenExplicitMaxTTL)
	s.NumUses = lesser(s.NumUses, r.TokenNumUses)
	s.NoDefaultPolicy = s.NoDefaultPolicy || r.TokenNoDefaultPolicy
	if !s.joined {
		s.Period, s.TokenType, s.CIDRs = r.TokenPeriod, r.TokenType, r.TokenBoundCIDRs
		s.joined = true
		return
	}
	// A period lets a token live for ever, so all have to allow it.
	if s.Period == 0 || r.TokenPeriod == 0 {
		s.Period = 0
	} else {
		s.Period = min(s.Period, r.TokenPeriod)
	}
	// A service token can be revoked, so one role that asks for it is enough.
	if s.TokenType != r.TokenType {
		s.TokenType = logical.TokenTypeService
	}
	s.restrict(r.TokenBoundCIDRs)
}

// restrict leaves the addresses that are in both lists.
func (s *Settings) restrict(cidrs []*sockaddr.SockAddrMarshaler) {
	if len(cidrs) == 0 || len(s.CIDRs) == 0 {
		s.CIDRs = append(s.CIDRs, cidrs...)
		return
	}
	var both []*sockaddr.SockAddrMarshaler
	for _, a := range s.CIDRs {
		for _, b := range cidrs {
			switch {
			case contains(a, b):
				both = append(both, b)
			case contains(b, a):
				both = append(both, a)
			}
		}
	}
	s.CIDRs, s.NoAddressLeft = both, s.NoAddressLeft || len(both) == 0
}

// contains tells whether block a contains block b. Of two blocks that share an
// address, one contains the other.
func contains(a, b *sockaddr.SockAddrMarshaler) bool {
	outer, ok := a.SockAddr.(sockaddr.IPAddr)
	if !ok {
		return false
	}
	return outer.Contains(b.SockAddr)
}

// lesser returns the lesser of two limits, of which 0 is none.
func lesser[T int | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
