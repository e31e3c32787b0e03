package main

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	loginHelpSynopsis    = "Trades a Kubernetes service account token for a Vault token."
	loginHelpDescription = `
Send the token as jwt and the name of a role as role. The Kubernetes API server is
asked whose the token is; the role says whether that service account may use it.
Without a role, the binding rules of the mount decide what it gets.

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
	auth, err := b.authenticate(ctx, req, data)
	b.metrics.login(err)
	if err != nil {
		b.log.refused(b.Logger(), req.MountPoint, data.Get("role").(string), err)
		return respond(err)
	}
	b.log.allowed(b.Logger(), req.MountPoint, data.Get("role").(string), auth.Metadata)
	return &logical.Response{Auth: auth}, nil
}

// loginAliasLookahead tells the host which alias a login would have. The answer
// names somebody, so it takes the same proof as the login itself.
func (b *backend) loginAliasLookahead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	auth, err := b.authenticate(ctx, req, data)
	if err != nil {
		b.log.refused(b.Logger(), req.MountPoint, data.Get("role").(string), err)
		return respond(err)
	}
	return &logical.Response{Auth: &logical.Auth{Alias: &logical.Alias{Name: auth.Alias.Name}}}, nil
}

// loginResolveRole tells the host which role a login names, for quotas.
func (b *backend) loginResolveRole(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("role").(string)
	if name == "" {
		if err := b.requireRules(ctx, req.Storage); err != nil {
			return respond(err)
		}
		return logical.ResolveRoleResponse("")
	}
	if _, err := b.findRole(ctx, req.Storage, name); err != nil {
		return respond(err)
	}
	return logical.ResolveRoleResponse(name)
}

func (b *backend) authenticate(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Auth, error) {
	attempt, err := b.newLogin(ctx, req, data)
	if err != nil {
		return nil, err
	}
	if err := attempt.logIn(ctx); err != nil {
		return nil, err
	}
	return attempt.auth(data.Get("role").(string)), nil
}

// newLogin is an attempt with what the request names.
func (b *backend) newLogin(ctx context.Context, req *logical.Request, data *framework.FieldData) (*login, error) {
	roleName := data.Get("role").(string)
	attempt := &login{b: b, storage: req.Storage, remote: req.Connection}
	if roleName == "" {
		if err := b.requireRules(ctx, req.Storage); err != nil {
			return nil, err
		}
	}
	var err error
	if attempt.jwt, err = required(data, "jwt"); err != nil {
		return nil, err
	}
	if roleName != "" {
		if attempt.role, err = b.findRole(ctx, req.Storage, roleName); err != nil {
			return nil, err
		}
	}
	return attempt, nil
}

// requireRules answers a login without a role as Vault's own method does where
// there are no binding rules to go by.
func (b *backend) requireRules(ctx context.Context, s logical.Storage) error {
	rules, err := b.rules.get(ctx, s)
	if err != nil {
		return err
	}
	if rules.Len() == 0 {
		return refuseInvalid("no role was named, and there are no binding rules", "missing role")
	}
	return nil
}

func required(data *framework.FieldData, field string) (string, error) {
	value := data.Get(field).(string)
	if value == "" {
		return "", refuseInvalid("missing "+field, "missing "+field)
	}
	return value, nil
}
