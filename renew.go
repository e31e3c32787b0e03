package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
)

// What the host keeps with the lease of a token. leaseRole is all that Vault's own
// method writes and reads, so it is always there.
const (
	leaseRole     = "role"
	leaseIdentity = "identity"
	leaseGrants   = "grants"
	leaseAddress  = "source_address"
)

// pathLoginRenew is called by the host when a token of this mount is to be renewed.
// What was true at login has to be true still.
func (b *backend) pathLoginRenew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	var response *logical.Response
	var err error
	if text, ok := req.Auth.InternalData[leaseIdentity].(string); ok {
		response, err = b.renewByRules(ctx, req, text)
	} else {
		response, err = b.renewByRole(ctx, req)
	}
	b.metrics.Renewal(err)
	var over refusal.RenewalOver
	if errors.As(err, &over) {
		role, _ := req.Auth.InternalData[leaseRole].(string)
		b.log.RenewalRefused(b.Logger(), req.MountPoint, role, over)
		// As an error it would reach the client as a 500, which is not what a
		// refusal is.
		return logical.ErrorResponse(over.Error()), nil
	}
	return response, err
}

const (
	accountGone refusal.RenewalOver = "the service account of this token was deleted, or created anew; log in again"
	nothingLeft refusal.RenewalOver = "the binding rules no longer grant this token anything; log in again"
	otherGrants refusal.RenewalOver = "the binding rules grant something else than when this token was issued; log in again"
)

// renewByRole asks for the role to exist still; its settings of today count.
func (b *backend) renewByRole(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	name, _ := req.Auth.InternalData[leaseRole].(string)
	if name == "" {
		return nil, errors.New("failed to fetch role_name during renewal")
	}
	r, err := b.roles.Get(ctx, req.Storage, role.Key(name))
	if err != nil {
		return nil, fmt.Errorf("failed to validate role %s during renewal: %w", name, err)
	}
	if r == nil {
		return nil, fmt.Errorf("role %s does not exist during renewal", name)
	}
	metadata := req.Auth.Metadata
	id, err := identity.FromLeaseMetadata(metadata[metadataNamespace], metadata[metadataName], metadata[metadataUID])
	if err == nil { // else there is nothing to check by
		if err := b.checkLeasedAccount(ctx, req, id, name); err != nil {
			return nil, err
		}
	}
	response := &logical.Response{Auth: req.Auth}
	response.Auth.TTL = r.TokenTTL
	response.Auth.MaxTTL = r.TokenMaxTTL
	response.Auth.Period = r.TokenPeriod
	return response, nil
}

// checkLeasedAccount refuses a renewal whose service account is gone, or was created
// anew, if the configuration asks for that. Where that cannot be found out the token
// is renewed: an outage must not take away tokens that were issued rightly.
func (b *backend) checkLeasedAccount(ctx context.Context, req *logical.Request, id identity.Identity, roleName string) error {
	c, err := b.cluster.Get(ctx, req.Storage)
	switch {
	case err == nil && c == nil:
		return nil // Vault's own method renews without a configuration, too
	case err == nil && c.Config.RenewalCheck == config.RenewalCheckNone:
		return nil
	case err == nil:
		ctx, cancel := c.Deadline(ctx)
		defer cancel()
		attempt := &login{b: b, storage: req.Storage, cluster: c}
		attempt.identify(id)
		err = attempt.run(ctx, renewSteps)
	}
	if err != nil && refusal.CouldNotLook(err) {
		b.metrics.Skipped.Inc()
		b.log.Unchecked(b.Logger(), req.MountPoint, roleName, err)
		return nil
	}
	return renewalVerdict(err, accountGone)
}

// renewSteps look again at the service account of a token.
var renewSteps = []loginStep{{refusal.StepRenewal, (*login).checkAccount}}

func (l *login) checkAccount(ctx context.Context) error {
	_, err := l.objects.ServiceAccount(ctx)
	return err
}

// renewalVerdict tells a refusal, which ends the renewals of a token, from an error of
// the host's own, which does not.
func renewalVerdict(err error, over refusal.RenewalOver) error {
	var r *refusal.Refusal
	if errors.As(err, &r) {
		return over
	}
	return err
}

// renewByRules evaluates the binding rules of today for the identity of the login, and
// the address that it came from: whoever renews may be elsewhere, and the host checks
// that by itself. They have to grant the same; the settings of roles count as they are
// now.
func (b *backend) renewByRules(ctx context.Context, req *logical.Request, leased string) (*logical.Response, error) {
	id, err := identity.FromLease(leased)
	if err != nil {
		return nil, err
	}
	if err := b.checkLeasedAccount(ctx, req, id, ""); err != nil {
		return nil, err
	}
	response := &logical.Response{Auth: req.Auth}
	response.Auth.GroupAliases = groupAliases(leasedGroups(req.Auth.InternalData[leaseGrants]))
	g, err := b.grantedNow(ctx, req, id)
	switch {
	case err != nil && refusal.CouldNotLook(err):
		b.metrics.Skipped.Inc()
		b.log.Unchecked(b.Logger(), req.MountPoint, "", err)
		return response, nil
	case err != nil:
		if r := new(refusal.Refusal); errors.As(err, &r) && r.Operator {
			b.log.Refused(b.Logger(), req.MountPoint, "", err) // logins end by it as well
		}
		return nil, renewalVerdict(err, nothingLeft)
	case fingerprint(g.Grants) != req.Auth.InternalData[leaseGrants]:
		return nil, otherGrants
	}
	response.Auth.TTL, response.Auth.MaxTTL, response.Auth.Period = g.settings.ttl, g.settings.maxTTL, g.settings.period
	return response, nil
}

// grantedNow is what the binding rules of today grant to an identity, if the role that
// logins by rules go through lets it pass.
func (b *backend) grantedNow(ctx context.Context, req *logical.Request, id identity.Identity) (*granted, error) {
	attempt := &login{b: b, storage: req.Storage, byRules: true}
	if address, ok := req.Auth.InternalData[leaseAddress].(string); ok {
		attempt.remote = &logical.Connection{RemoteAddr: address}
	}
	if err := attempt.findConnection(ctx); err != nil {
		return nil, err
	}
	attempt.identify(id)
	ctx, cancel := attempt.cluster.Deadline(ctx)
	defer cancel()
	err := attempt.run(ctx, grantSteps)
	return attempt.granted, err
}

// grantSteps are the steps of a login by rules that need no token.
var grantSteps = []loginStep{
	{refusal.StepAddress, (*login).checkAddress},
	{refusal.StepRuleRole, (*login).checkRuleRole},
	{refusal.StepRules, (*login).applyRules},
}
