package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// Renewed is what the renewal of a token came to.
type Renewed struct {
	// TTL, MaxTTL and Period are those of today, if Settled; else those of the lease stay.
	TTL, MaxTTL, Period time.Duration
	Settled             bool
	// ByRules tells a token that binding rules gave, whose groups Groups are.
	ByRules bool
	Groups  []string
	// Unchecked is why something could not be looked at, over which no token is taken away.
	Unchecked []error
	// Operator is a refusal by which logins end as well, and which is an operator's to mend.
	Operator error
}

const (
	accountGone refusal.RenewalOver = "the service account of this token was deleted, or created anew; log in again"
	podGone     refusal.RenewalOver = "the pod that logged in for this token is gone; log in again"
	nothingLeft refusal.RenewalOver = "the binding rules no longer grant this token anything; log in again"
	otherGrants refusal.RenewalOver = "the binding rules grant something else than when this token was issued; log in again"
	roleGone    refusal.RenewalOver = "the role of this token was deleted, or goes by binding rules no longer; log in again"
)

// Renew decides on the renewal of a token: what was true at login has to be true still. A
// refusal.RenewalOver ends the renewals of the token; other errors are the host's own.
func Renew(ctx context.Context, m Mount, lease Lease) (*Renewed, error) {
	r := &renewal{mount: m, lease: lease}
	err := r.run(ctx)
	return &r.Renewed, err
}

type renewal struct {
	Renewed
	mount Mount
	lease Lease
}

func (r *renewal) run(ctx context.Context) error {
	looks, cancel := r.lease.looking(ctx)
	defer cancel()
	if leased, ok := r.lease.Data[leaseIdentity].(string); ok {
		id, err := identity.FromLease(leased)
		if err != nil {
			return err
		}
		return r.renewByRules(ctx, looks, id)
	}
	return r.renewByRole(ctx, looks)
}

// renewByRole asks for the role to exist still; its settings of today count. The cluster is
// looked at within looks, and storage within ctx.
func (r *renewal) renewByRole(ctx, looks context.Context) error {
	name := r.lease.Role()
	if name == "" {
		return errors.New("failed to fetch role_name during renewal")
	}
	now, err := r.mount.Role(ctx, name)
	if err != nil {
		return fmt.Errorf("failed to validate role %s during renewal: %w", name, err)
	}
	if now == nil {
		return fmt.Errorf("role %s does not exist during renewal", name)
	}
	of := r.lease.Metadata
	pod := identity.Object{Name: of[metadata.Pod], UID: of[metadata.PodUID]}
	id, err := identity.FromLeaseMetadata(of[metadata.Namespace], of[metadata.Name], of[metadata.UID], pod)
	if err == nil { // else there is nothing to check by
		if err := r.checkObjects(ctx, looks, id); err != nil {
			return err
		}
	}
	r.settle(now.TokenTTL, now.TokenMaxTTL, now.TokenPeriod)
	return nil
}

func (r *renewal) settle(ttl, maxTTL, period time.Duration) {
	r.TTL, r.MaxTTL, r.Period, r.Settled = ttl, maxTTL, period, true
}

// checkObjects refuses a renewal whose service account is gone, or was created anew, if the
// configuration asks for that, and so of the pod that logged in. Where that cannot be found
// out the token is renewed: an outage must not take away tokens that were issued rightly.
func (r *renewal) checkObjects(ctx, looks context.Context, id identity.Identity) error {
	c, err := r.mount.Cluster(ctx)
	switch {
	case err != nil:
		return r.unless(err, accountGone)
	case c == nil: // Vault's own method renews without a configuration, too
		return nil
	case c.Config.RenewalCheck == config.RenewalCheckNone:
		return nil
	}
	looks, cancel := c.Deadline(looks)
	defer cancel()
	d := &decision{mount: r.mount, observer: Unobserved, Finding: Finding{Cluster: c}}
	d.identify(id, "")
	if err := r.unless(run(looks, d, d.observer, renewalSteps), accountGone); err != nil {
		return err
	}
	if c.Config.RenewalCheck != config.RenewalCheckPod || id.Pod() == (identity.Object{}) {
		return nil
	}
	return r.unless(run(looks, d, d.observer, podRenewalSteps), podGone)
}

// unless is the verdict of a look, or none where it could not be made.
func (r *renewal) unless(err error, over refusal.RenewalOver) error {
	if err != nil && refusal.CouldNotLook(err) {
		r.Unchecked = append(r.Unchecked, err)
		return nil
	}
	return verdict(err, over)
}

// verdict tells a refusal, which ends the renewals of a token, from an error of
// the host's own, which does not.
func verdict(err error, over refusal.RenewalOver) error {
	var r *refusal.Refusal
	if errors.As(err, &r) {
		return over
	}
	return err
}

// renewByRules evaluates the binding rules of today for the identity of the login, and
// the address that it came from. They have to grant the same; the settings of roles count
// as they are now.
func (r *renewal) renewByRules(ctx, looks context.Context, id identity.Identity) error {
	if err := r.checkObjects(ctx, looks, id); err != nil {
		return err
	}
	r.ByRules, r.Groups = true, r.lease.groups()
	g, err := r.grantedNow(ctx, looks, id)
	switch {
	case errors.Is(err, roleGone):
		return err
	case err != nil && refusal.CouldNotLook(err):
		r.Unchecked = append(r.Unchecked, err)
		return nil
	case err != nil:
		if refused := new(refusal.Refusal); errors.As(err, &refused) && refused.Operator {
			r.Operator = err
		}
		return verdict(err, nothingLeft)
	case fingerprint(g.Grants) != r.lease.Data[leaseGrants]:
		return otherGrants
	}
	r.settle(g.Settings.TTL, g.Settings.MaxTTL, g.Settings.Period)
	return nil
}

// grantedNow is what the binding rules of today grant to an identity, if the roles that
// its login went through let it pass still.
func (r *renewal) grantedNow(ctx, looks context.Context, id identity.Identity) (*Granted, error) {
	d := &decision{mount: r.mount, observer: Unobserved, Finding: Finding{ByRules: true, Source: r.lease.source()}}
	if name := r.lease.Role(); name != "" {
		now, err := r.mount.Role(ctx, name)
		if err == nil && (now == nil || !now.UseBindingRules) {
			err = roleGone
		}
		if err != nil {
			return nil, err
		}
		d.named = &Through{Role: now, Name: role.Key(name)}
	}
	if err := d.findCluster(ctx); err != nil {
		return nil, err
	}
	d.identify(id, "")
	d.Token = r.lease.token()
	looks, cancel := d.Cluster.Deadline(looks)
	defer cancel()
	if err := run(looks, d, d.observer, ruleBeginSteps[1:]); err != nil {
		return nil, err
	}
	if err := run(looks, d, d.observer, postureSteps); err != nil {
		return nil, err
	}
	err := run(looks, d, d.observer, grantSteps)
	return d.Granted, err
}
