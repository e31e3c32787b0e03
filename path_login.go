package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	loginHelpSynopsis    = "Trades a Kubernetes service account token for a Vault token."
	loginHelpDescription = `
Send the token as jwt and the name of a role as role. The Kubernetes API server is
asked whose the token is; the role says whether that service account may use it.

A refusal that depends on the token is always "permission denied"; the reason is
in Vault's server log, at the debug level where a client caused it and as a warning
where the configuration did. An API server that cannot be asked is a 503.
`
)

func (b *backend) pathLogin() *framework.Path {
	return &framework.Path{
		Pattern: "login$",
		Fields: map[string]*framework.FieldSchema{
			"role": {
				Type:        framework.TypeString,
				Description: "Name of the role to log in under. Required.",
			},
			"jwt": {
				Type:        framework.TypeString,
				Description: "Token of the service account, projected or from a secret. Required.",
			},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation:         &framework.PathOperation{Callback: b.loginWrite},
			logical.AliasLookaheadOperation: &framework.PathOperation{Callback: b.loginAliasLookahead},
			logical.ResolveRoleOperation:    &framework.PathOperation{Callback: b.loginResolveRole},
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
	if err != nil {
		b.log.refused(b.Logger(), req.MountPoint, data.Get("role").(string), err)
		return respond(err)
	}
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
	name, err := required(data, "role")
	if err != nil {
		return respond(err)
	}
	if _, err := b.findRole(ctx, req.Storage, name); err != nil {
		return respond(err)
	}
	return logical.ResolveRoleResponse(name)
}

func (b *backend) authenticate(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Auth, error) {
	roleName, err := required(data, "role")
	if err != nil {
		return nil, err
	}
	jwt, err := required(data, "jwt")
	if err != nil {
		return nil, err
	}
	role, err := b.findRole(ctx, req.Storage, roleName)
	if err != nil {
		return nil, err
	}
	attempt := &login{b: b, storage: req.Storage, role: role, jwt: jwt, remote: req.Connection}
	if err := attempt.run(ctx, loginSteps); err != nil {
		return nil, err
	}
	return attempt.auth(roleName), nil
}

func required(data *framework.FieldData, field string) (string, error) {
	value := data.Get(field).(string)
	if value == "" {
		return "", refuseInvalid("missing " + field)
	}
	return value, nil
}

// pathLoginRenew is called by the host when a token of this mount is to be
// renewed. The role has to exist still, and its settings of today count.
func (b *backend) pathLoginRenew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	roleName, _ := req.Auth.InternalData["role"].(string)
	if roleName == "" {
		return nil, errors.New("failed to fetch role_name during renewal")
	}
	role, err := b.roles.get(ctx, req.Storage, strings.ToLower(roleName))
	if err != nil {
		return nil, fmt.Errorf("failed to validate role %s during renewal: %w", roleName, err)
	}
	if role == nil {
		return nil, fmt.Errorf("role %s does not exist during renewal", roleName)
	}
	response := &logical.Response{Auth: req.Auth}
	response.Auth.TTL = role.TokenTTL
	response.Auth.MaxTTL = role.TokenMaxTTL
	response.Auth.Period = role.TokenPeriod
	return response, nil
}
