package login

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/cidrutil"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

// checkAddress has nothing to check where there is no role; those that binding rules
// bind are checked then.
func (d *decision) checkAddress(context.Context) error {
	for _, r := range d.roles() {
		if len(r.TokenBoundCIDRs) == 0 {
			continue
		}
		switch address, known := d.Source.Address(); {
		case d.Source.open:
			d.observer.NotJudged(r)
		case !known:
			return refusal.NotBound("the role has token_bound_cidrs and the host reported no source address")
		case !cidrutil.RemoteAddrIsOk(address, r.TokenBoundCIDRs):
			return refusal.NotBound("the source address is not in the role's token_bound_cidrs")
		}
	}
	return nil
}

// checkAudience looks at the verified audiences. For the role of a login the
// review was asked for the same; a role that binding rules bind, or that a login by
// rules goes through, has its own. The latter needs none: the mount says which count.
func (d *decision) checkAudience(context.Context) error {
	want := d.Role.Audiences()
	if len(want) == 0 && d.Cluster.Config.RequireAudience && !d.ByRules {
		return refusal.NotBound("the configuration has require_audience set, and the role has no audience")
	}
	if len(want) > 0 && !slices.ContainsFunc(want, func(w string) bool { return slices.Contains(d.Who.Audiences(), w) }) {
		return refusal.NotBound(fmt.Sprintf("the token's audiences are %q, the role asks for one of %q", d.Who.Audiences(), want))
	}
	return nil
}

func (d *decision) checkName(context.Context) error {
	if d.Role.OnlyByBindingRules && !d.roleOfRule && !d.ByRules {
		return refusal.Deny("only binding rules give the role (only_by_binding_rules), and the login names it")
	}
	if d.Role.LeavesBoundsToRules() {
		return nil
	}
	if !d.Role.BindsName(d.Who) && !d.Role.BindsPair(d.Who) {
		return refusal.NotBound(fmt.Sprintf("the role is not bound to the service account name %q", d.Who.Name()))
	}
	return nil
}

// maxShownBytes bounds what a reason shows of a selector, and of the labels that it looks at.
const maxShownBytes = 300

// labelsIn is how labels stand in a reason.
func labelsIn(labels map[string]string) string {
	if len(labels) == 0 {
		return "none"
	}
	shown := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		shown = append(shown, key+"="+labels[key])
	}
	return strings.Join(shown, ",")
}

// checkNamespace asks for the labels of the namespace only if they can make a
// difference.
func (d *decision) checkNamespace(ctx context.Context) error {
	if d.Role.LeavesBoundsToRules() || d.Role.BindsPair(d.Who) || d.Role.BindsNamespace(d.Who) {
		return nil
	}
	selector := d.Role.NamespaceSelector
	if selector == nil {
		return refusal.NotBound(fmt.Sprintf("the role is not bound to the namespace %q", d.Who.Namespace()))
	}
	namespace, err := d.objects.Namespace(ctx)
	if err != nil {
		return err
	}
	if !selector.Matches(namespace.Labels) {
		return refusal.NotBound(fmt.Sprintf("the labels of the namespace %q do not match the role's bound_service_account_namespace_selector %s: they are %s",
			d.Who.Namespace(), scrub.Bounded(d.Role.ServiceAccountNamespaceSelector, maxShownBytes), scrub.Bounded(labelsIn(namespace.Labels), maxShownBytes)))
	}
	return nil
}

func (d *decision) checkSelector(ctx context.Context) error {
	if d.Role.Unusable != nil {
		return &refusal.Refusal{
			Kind: refusal.Denied, Operator: true, Class: refusal.ClassConfiguration, Err: d.Role.Unusable,
			Reason: "the role's selector cannot be read", Remedy: "write the role anew",
		}
	}
	if d.Role.Selector == nil {
		return nil
	}
	matched, err := d.Role.Selector.Match(ctx, d.Attributes, d.fetch)
	if err != nil {
		return err
	}
	if !matched {
		return refusal.NotBound("the role's selector does not match: " + d.Role.Selector.Mismatch(d.Attributes))
	}
	return nil
}
