package main

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

const (
	loginHelpSynopsis    = "Trades a Kubernetes service account token for a Vault token."
	loginHelpDescription = `
Send the token as jwt and the name of a role as role. The Kubernetes API server is
asked whose the token is; the role says whether that service account may use it.
Without a role, the binding rules of the mount decide what it gets; the token then
has to be for one of binding_rule_audiences of the configuration, by default for the
API server's own audience.

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
				Description: "Name of the role to log in under. Without it the binding rules decide.",
			},
			"jwt": {
				Type:        framework.TypeString,
				Description: "Token of the service account, projected or from a secret. Required.",
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
	body := readLoginBody(data)
	auth, err := b.authenticate(ctx, req, body)
	b.metrics.Login(err)
	if err != nil {
		b.log.Refused(b.Logger(), req.MountPoint, body.role, err)
		return respond(err)
	}
	b.log.Allowed(b.Logger(), req.MountPoint, body.role, telemetry.Allowed{
		Namespace: auth.Metadata[metadataNamespace], ServiceAccount: auth.Metadata[metadataName], UID: auth.Metadata[metadataUID],
		Services: auth.Metadata[metadataConsulService], Nodes: auth.Metadata[metadataConsulNode], Rules: auth.Metadata[metadataRules],
	})
	return &logical.Response{Auth: auth}, nil
}

// loginAliasLookahead tells the host which alias a login would have. The answer
// names somebody, so it takes the same proof as the login itself.
func (b *backend) loginAliasLookahead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	body := readLoginBody(data)
	auth, err := b.authenticate(ctx, req, body)
	if err != nil {
		b.log.Refused(b.Logger(), req.MountPoint, body.role, err)
		return respond(err)
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

// loginBody is what a client sends to log in.
type loginBody struct{ role, jwt string }

func readLoginBody(data *framework.FieldData) loginBody {
	return loginBody{role: data.Get("role").(string), jwt: data.Get("jwt").(string)}
}

func (b *backend) authenticate(ctx context.Context, req *logical.Request, body loginBody) (*logical.Auth, error) {
	attempt, err := b.newLogin(ctx, req, body)
	if err != nil {
		return nil, err
	}
	if err := attempt.logIn(ctx); err != nil {
		return nil, err
	}
	return attempt.auth(body.role), nil
}

// newLogin is an attempt with what the request names.
func (b *backend) newLogin(ctx context.Context, req *logical.Request, body loginBody) (*login, error) {
	attempt := &login{b: b, storage: req.Storage, byRules: body.role == "", jwt: body.jwt, remote: req.Connection}
	if attempt.byRules {
		if err := b.requireRules(ctx, req.Storage); err != nil {
			return nil, err
		}
	}
	if err := requireValue("jwt", body.jwt); err != nil {
		return nil, err
	}
	if !attempt.byRules {
		var err error
		if attempt.role, err = b.findRole(ctx, req.Storage, body.role); err != nil {
			return nil, err
		}
	}
	return attempt, nil
}

// requireRules answers a login without a role as Vault's own method does where
// there are no binding rules to go by.
func (b *backend) requireRules(ctx context.Context, s logical.Storage) error {
	rules, err := b.rules.Get(ctx, s)
	if err != nil {
		return err
	}
	if rules.Len() == 0 {
		return refusal.OfRequest("no role was named, and there are no binding rules", "missing role")
	}
	return nil
}

func requireValue(field, value string) error {
	if value == "" {
		return refusal.OfRequest("missing "+field, "missing "+field)
	}
	return nil
}
