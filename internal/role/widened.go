package role

import (
	"fmt"
	"strings"

	"vault-plugin-auth-kubernetes/internal/scrub"
)

// WidenedFrom says which bounds of the role as it was before are gone. Each of them goes
// by an empty value, and that may be what is left of a variable that was not set. The
// other bounds add to who may log in, or may not be empty.
func (r *Entry) WidenedFrom(before *Entry) []string {
	var widened []string
	if before.Selector != "" && r.Selector == "" {
		widened = append(widened, fmt.Sprintf("selector is empty now, so the role no longer asks for: %s", scrub.Bounded(before.Selector, maxWidenedBytes)))
	}
	if !before.LacksAudience() && r.LacksAudience() {
		widened = append(widened, fmt.Sprintf("The role now takes tokens for any audience; before, for %s only.", scrub.Bounded(strings.Join(before.Audiences(), ", "), maxWidenedBytes)))
	}
	if len(before.TokenBoundCIDRs) > 0 && len(r.TokenBoundCIDRs) == 0 {
		addresses := make([]string, len(before.TokenBoundCIDRs))
		for i, address := range before.TokenBoundCIDRs {
			addresses[i] = address.String()
		}
		widened = append(widened, fmt.Sprintf("token_bound_cidrs is empty now, so the role can be used from any address; before, from %s only.", scrub.Bounded(strings.Join(addresses, ", "), maxWidenedBytes)))
	}
	return widened
}

// maxWidenedBytes bounds what a warning repeats of a bound that is gone.
const maxWidenedBytes = 300
