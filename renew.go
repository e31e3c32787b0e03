package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
)

// What the host keeps with the lease of a token. leaseRole is all that Vault's own
// method writes and reads, so it is always there.
const (
	leaseRole     = "role"
	leaseIdentity = "identity"
	leaseGrants   = "grants"
)

// pathLoginRenew is called by the host when a token of this mount is to be renewed.
// What was true at login has to be true still.
func (b *backend) pathLoginRenew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	if text, ok := req.Auth.InternalData[leaseIdentity].(string); ok {
		return b.renewByRules(ctx, req, text)
	}
	return b.renewByRole(ctx, req)
}

// renewByRole asks for the role to exist still; its settings of today count.
func (b *backend) renewByRole(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	name, _ := req.Auth.InternalData[leaseRole].(string)
	if name == "" {
		return nil, errors.New("failed to fetch role_name during renewal")
	}
	r, err := b.roles.get(ctx, req.Storage, roleCacheKey(name))
	if err != nil {
		return nil, fmt.Errorf("failed to validate role %s during renewal: %w", name, err)
	}
	if r == nil {
		return nil, fmt.Errorf("role %s does not exist during renewal", name)
	}
	response := &logical.Response{Auth: req.Auth}
	response.Auth.TTL = r.TokenTTL
	response.Auth.MaxTTL = r.TokenMaxTTL
	response.Auth.Period = r.TokenPeriod
	return response, nil
}

// renewByRules evaluates the binding rules of today for the identity of the login.
// They have to grant the same; the settings of the roles that they bind count as
// they are now.
func (b *backend) renewByRules(ctx context.Context, req *logical.Request, leased string) (*logical.Response, error) {
	id, err := identity.FromLease(leased)
	if err != nil {
		return nil, err
	}
	c, err := b.connection(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, errors.New("could not load backend configuration")
	}
	attempt := &login{b: b, storage: req.Storage, connection: c}
	attempt.identify(id)
	response := &logical.Response{Auth: req.Auth}
	err = attempt.run(ctx, []loginStep{{"binding rules", (*login).applyRules}})
	switch {
	case err == nil:
	case couldNotLook(err):
		// The rules were not found to be against it; an outage must not take
		// away tokens that were issued rightly.
		b.log.refused(b.Logger(), req.MountPoint, "", err)
		return response, nil
	default:
		return nil, fmt.Errorf("the binding rules no longer grant this token anything: %w", logical.ErrPermissionDenied)
	}
	if attempt.granted.fingerprint() != req.Auth.InternalData[leaseGrants] {
		return nil, errors.New("the binding rules grant something else than when this token was issued; log in again")
	}
	response.Auth.TTL = attempt.granted.settings.ttl
	response.Auth.MaxTTL = attempt.granted.settings.maxTTL
	response.Auth.Period = attempt.granted.settings.period
	return response, nil
}

// couldNotLook tells whether an error leaves open what the cluster would have said:
// it could not be reached, or the reviewer was not let in.
func couldNotLook(err error) bool {
	var r *refusal
	var failed *kube.Error
	return errors.As(err, &r) && r.kind == couldNotAsk ||
		errors.As(err, &failed) && (failed.Failure == kube.Unauthorized || failed.Failure == kube.Forbidden)
}
