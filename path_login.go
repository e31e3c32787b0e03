package main

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

const (
	loginHelpSynopsis    = "Trades a Kubernetes service account token for a Vault token."
	loginHelpDescription = `
Send the token as jwt and the name of a role as role. The Kubernetes API server is
asked whose the token is; the role says whether that service account may use it.
Without a role, or with one that has use_binding_rules, the binding rules of the mount
decide what it gets; the token then has to be for one of binding_rule_audiences of the
configuration, by default for the audience of that role or the API server's own.

Where the mount has no reviewer, a second token of the same pod can ask whose jwt is:
reviewer_jwt, which has to be for the API server's own audience and allowed to create
TokenReviews. jwt can then be for Vault alone.

A refusal that depends on the token is always "permission denied"; the reason is
in Vault's server log, at the debug level where a client caused it and as a warning
where the configuration did. An API server that cannot be asked is a 503.
`
)

func (b *backend) pathLogin() *framework.Path {
	return &framework.Path{
		Pattern: loginPath + "$",
		Fields: map[string]*framework.FieldSchema{
			"role": {
				Type:        framework.TypeString,
				Description: "Name of the role to log in under. Without it, or where it is empty or has use_binding_rules, the binding rules decide.",
			},
			"jwt": {
				Type:        framework.TypeString,
				Description: "Token of the service account, projected or from a secret. Required.",
			},
			"reviewer_jwt": {
				Type: framework.TypeString,
				Description: `A second token of the same pod, for the API server's audience, that asks whose jwt is. It
counts where the mount has no reviewer, or prefer_login_reviewer_jwt.`,
				DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
			},
		},
		// Before it calls one of Operations, the framework asks the host for its
		// replication state, which is a request back to Vault for each login. These
		// are called at once; a login writes nothing, and any node may answer it.
		Callbacks: map[logical.Operation]framework.OperationFunc{ //nolint:staticcheck // deprecated in favour of Operations, which cost just that
			logical.UpdateOperation:         b.loginWrite,
			logical.AliasLookaheadOperation: b.loginAliasLookahead,
			logical.ResolveRoleOperation:    b.loginResolveRole,
		},
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix,
			OperationVerb:   "login",
		},
		HelpSynopsis:    loginHelpSynopsis,
		HelpDescription: loginHelpDescription,
	}
}

func (b *backend) loginWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	auth, err := b.authenticate(ctx, req, data)
	b.metrics.Login(err)
	if err != nil {
		return b.refuse(req, data, err)
	}
	b.log.Allowed(b.Logger(), req.MountPoint, data.Get("role").(string), telemetry.Allowed{
		Namespace: auth.Metadata[metadata.Namespace], ServiceAccount: auth.Metadata[metadata.Name], UID: auth.Metadata[metadata.UID],
		Services: auth.Metadata[metadata.ConsulService], Nodes: auth.Metadata[metadata.ConsulNode], Rules: auth.Metadata[metadata.Rules],
		VerifiedBy: auth.Metadata[metadata.VerifiedBy],
	})
	response := &logical.Response{Auth: auth}
	if data.Get("role") == "" && namedIn(req, "role") {
		response.AddWarning(emptyRole)
	}
	return response, nil
}

func (b *backend) refuse(req *logical.Request, data *framework.FieldData, err error) (*logical.Response, error) {
	b.log.Refused(b.Logger(), req.MountPoint, data.Get("role").(string), err)
	return respond(err)
}

// emptyRole is said of a login that names a role with an empty value. There are clients that
// always send the field, so it is a login by rules like one without it; but it may be what
// is left of a variable that was not set.
const emptyRole = "role was named and is empty, so the binding rules decided what this token has."

// loginAliasLookahead tells the host which alias a login would have. The answer
// names somebody, so it takes the same proof as the login itself.
func (b *backend) loginAliasLookahead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	auth, err := b.authenticate(ctx, req, data)
	if err != nil {
		return b.refuse(req, data, err)
	}
	return &logical.Response{Auth: &logical.Auth{Alias: &logical.Alias{Name: auth.Alias.Name}}}, nil
}

// loginResolveRole tells the host which role a login names, for quotas, in the letter case
// of stored roles: in another one it would be a role without a quota, and log in all the
// same. One that names none counts for the role that logins by rules go through. It does
// not look whether there is such a role: to the host a role without a quota and no role at
// all are the same, and it asks this after each login that gets a service token.
func (b *backend) loginResolveRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("role").(string)
	if name == "" {
		c, err := b.cluster.Get(ctx, req.Storage)
		if err != nil {
			return nil, err // the login fails by it as well
		}
		if c != nil {
			name = c.Config.BindingRuleRole
		}
	}
	if len(name) > role.MaxNameBytes {
		name = "" // there can be no such role, and no quota of it
	}
	return logical.ResolveRoleResponse(role.Key(name))
}

// loginRequest is what a client sends to log in.
func loginRequest(req *logical.Request, data *framework.FieldData) login.Request {
	r := login.Request{Role: data.Get("role").(string), JWT: data.Get("jwt").(string), ReviewerJWT: data.Get("reviewer_jwt").(string), Observer: login.Unobserved}
	if req.Connection != nil {
		r.Source = login.From(req.Connection.RemoteAddr)
	}
	return r
}

func (b *backend) authenticate(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Auth, error) {
	request := loginRequest(req, data)
	outcome, err := login.LogIn(ctx, b.at(req.Storage), request)
	if err != nil {
		return nil, err
	}
	b.logLeftOut(outcome)
	return authOf(outcome, request.Role), nil
}

// logLeftOut tells which annotations a login did without. It is the service account's
// own doing, and so for the debug level.
func (b *backend) logLeftOut(o *login.Outcome) {
	if len(o.Annotations.Left) == 0 {
		return
	}
	b.Logger().Debug("annotations were left out of the alias metadata",
		"namespace", o.Identity.Namespace(), "service_account", o.Identity.Name(),
		"count", len(o.Annotations.Left), "reason", scrub.Bounded(o.Annotations.WhyLeft(), telemetry.MaxLoggedBytes))
}

// pathLoginRenew is called by the host when a token of this mount is to be renewed.
func (b *backend) pathLoginRenew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	lease := login.Lease{Data: req.Auth.InternalData, Metadata: req.Auth.Metadata, TTL: req.Auth.TTL}
	renewed, err := login.Renew(ctx, b.at(req.Storage), lease)
	for _, unchecked := range renewed.Unchecked {
		b.metrics.Skipped.Inc()
		b.log.Unchecked(b.Logger(), req.MountPoint, lease.Role(), unchecked)
	}
	if renewed.Operator != nil {
		b.log.Refused(b.Logger(), req.MountPoint, lease.Role(), renewed.Operator)
	}
	b.metrics.Renewal(err)
	var over refusal.RenewalOver
	switch {
	case errors.As(err, &over):
		b.log.RenewalRefused(b.Logger(), req.MountPoint, lease.Role(), over)
		// As an error it would reach the client as a 500, which is not what a
		// refusal is.
		return logical.ErrorResponse(over.Error()), nil
	case err != nil:
		return nil, err
	}
	response := &logical.Response{Auth: req.Auth}
	if renewed.ByRules {
		response.Auth.GroupAliases = groupAliases(renewed.Groups)
	}
	if renewed.Settled {
		response.Auth.TTL, response.Auth.MaxTTL, response.Auth.Period = renewed.TTL, renewed.MaxTTL, renewed.Period
	}
	return response, nil
}

// authOf builds what the host makes a token from, after all steps passed. Everything
// in it is what the API server confirmed, or the operator configured.
func authOf(o *login.Outcome, roleName string) *logical.Auth {
	auth := tokenOf(&o.Finding, o.Identity, roleName)
	auth.InternalData = o.Lease(roleName)
	return auth
}

// tokenOf is what a token has, but for what the host keeps with its lease. Where nobody
// vouched for who it is about, that is all there is: it is to be looked at.
func tokenOf(f *login.Finding, who identity.Account, roleName string) *logical.Auth {
	common := identityMetadata(f, who)
	auth := &logical.Auth{
		Alias:       &logical.Alias{Name: f.Alias, Metadata: metadata.Merged(f.Annotations.Taken, common)},
		DisplayName: who.Namespace() + "-" + who.Name(),
		Metadata:    metadata.Merged(tokenMetadata(f, who), common),
	}
	if f.Granted == nil {
		auth.Metadata[metadata.Role] = roleName
		f.Role.PopulateTokenAuth(auth)
		return auth
	}
	auth.Alias.CustomMetadata = f.CustomMetadata()
	metadata.SetIfAny(auth.Metadata, metadata.Role, roleName)
	auth.Policies = f.Granted.Policies
	auth.Renewable = true
	auth.GroupAliases = groupAliases(f.Granted.Groups)
	applySettings(auth, &f.Granted.Settings)
	return auth
}

func applySettings(auth *logical.Auth, s *role.Settings) {
	auth.TTL, auth.MaxTTL, auth.ExplicitMaxTTL, auth.Period = s.TTL, s.MaxTTL, s.ExplicitMaxTTL, s.Period
	auth.NumUses, auth.NoDefaultPolicy, auth.TokenType = s.NumUses, s.NoDefaultPolicy, s.TokenType
	auth.BoundCIDRs = s.CIDRs
	if auth.TokenType == logical.TokenTypeBatch && (auth.Period != 0 || auth.NumUses != 0) {
		auth.TokenType = logical.TokenTypeService // a batch token can have neither
	}
}

// groupAliases is how the host is told of groups.
func groupAliases(names []string) []*logical.Alias {
	var aliases []*logical.Alias
	for _, name := range names {
		aliases = append(aliases, &logical.Alias{Name: name})
	}
	return aliases
}

// identityMetadata is what alias and token have in common.
func identityMetadata(f *login.Finding, who identity.Account) map[string]string {
	common := map[string]string{
		metadata.UID:        who.UID(),
		metadata.Name:       who.Name(),
		metadata.Namespace:  who.Namespace(),
		metadata.SecretName: f.SecretName,
	}
	metadata.SetIfAny(common, metadata.Cluster, f.Cluster.Config.ClusterName)
	metadata.SetIfAny(common, metadata.ConsulNamespace, f.Cluster.Config.ConsulNamespace(who.Namespace()))
	if f.Granted != nil {
		metadata.SetIfAny(common, metadata.ConsulService, metadata.Joined(f.Granted.Services))
		metadata.SetIfAny(common, metadata.ConsulNode, metadata.Joined(f.Granted.Nodes))
	}
	return common
}

func tokenMetadata(f *login.Finding, who identity.Account) map[string]string {
	own := map[string]string{}
	metadata.SetIfAny(own, metadata.Pod, who.Pod().Name)
	metadata.SetIfAny(own, metadata.PodUID, who.Pod().UID)
	metadata.SetIfAny(own, metadata.Node, who.Node().Name)
	metadata.SetIfAny(own, metadata.NodeUID, who.Node().UID)
	metadata.SetIfAny(own, metadata.CredentialID, who.CredentialID())
	if id, ok := who.(identity.Identity); ok && f.Cluster.Config.VerifiesLocally() {
		// Else it is always the same, and Vault's own method has no such key.
		metadata.SetIfAny(own, metadata.VerifiedBy, string(id.By()))
	}
	if f.Granted != nil {
		own[metadata.Rules] = metadata.Listed(f.Granted.Rules)
	}
	return own
}
