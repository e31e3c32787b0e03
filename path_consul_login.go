package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/sent"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

// Where clients of Consul's log in and out, below the mount as below a Consul.
const (
	consulLoginPath  = "v1/acl/login"
	consulLogoutPath = "v1/acl/logout"

	consulHeader = "X-Consul-Token"
)

const (
	consulLoginHelpSynopsis    = "Trades a Kubernetes service account token for a Consul token, as Consul does."
	consulLoginHelpDescription = `
What Consul answers at /v1/acl/login: with CONSUL_HTTP_ADDR=…/v1/auth/MOUNT, consul login
and every program that logs in through Consul's API gets its token here. AuthMethod is
auth_method of consul/config. The answer is Consul's and not Vault's, errors as well.
A token expires after max_token_ttl, and nothing is stored of it.
`
	consulLogoutHelpSynopsis    = "Takes back a Consul token that this mount made, as Consul does."
	consulLogoutHelpDescription = `
What Consul answers at /v1/acl/logout, with the token in the header X-Consul-Token, which
Vault hands on after: vault auth tune -passthrough-request-headers=X-Consul-Token MOUNT
`
)

func (b *backend) pathConsulLogin() *framework.Path {
	return &framework.Path{
		Pattern: "v1/acl/login$",
		Fields: map[string]*framework.FieldSchema{
			"AuthMethod":  {Type: framework.TypeString, Description: "auth_method of consul/config."},
			"BearerToken": {Type: framework.TypeString, Description: "Token of the service account."},
			"Meta":        {Type: framework.TypeKVPairs, Description: "What goes into the description of the Consul token."},
		},
		// Look-ahead at the alias is not here on purpose: it would have to make a token, or
		// name somebody without proof, and no Vault token comes of this.
		Callbacks: map[logical.Operation]framework.OperationFunc{ //nolint:staticcheck // see pathLogin
			logical.UpdateOperation: b.consulLogin,
		},
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "login", OperationSuffix: "to-consul"},
		HelpSynopsis:    consulLoginHelpSynopsis,
		HelpDescription: consulLoginHelpDescription,
	}
}

func (b *backend) pathConsulLogout() *framework.Path {
	return &framework.Path{
		Pattern: "v1/acl/logout$",
		Callbacks: map[logical.Operation]framework.OperationFunc{ //nolint:staticcheck // see pathLogin
			logical.UpdateOperation: b.consulLogout,
		},
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "logout", OperationSuffix: "of-consul"},
		HelpSynopsis:    consulLogoutHelpSynopsis,
		HelpDescription: consulLogoutHelpDescription,
	}
}

// What a client of Consul's reads, who may be anybody: always the same words, as far as
// they go Consul's own.
const (
	consulDenied      = "Permission denied"
	consulUnknown     = "ACL not found"
	consulOff         = "ACL support disabled"
	consulNotLogin    = "Permission denied: token wasn't created via login"
	consulUnreachable = "the Kubernetes API server or Consul could not be asked; try again later"
)

// raw answers as Consul does, and not as Vault.
func raw(status int, contentType string, body []byte) *logical.Response {
	return &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode: status, logical.HTTPContentType: contentType, logical.HTTPRawBody: body,
	}}
}

func rawText(status int, text string) *logical.Response {
	return raw(status, "text/plain; charset=utf-8", []byte(text))
}

// rawRefusal turns the error of a login into what Consul would answer. Errors that are no
// refusals are the host's own, and pass as they were.
func rawRefusal(err error) (*logical.Response, error) {
	var r *refusal.Refusal
	switch {
	case !errors.As(err, &r):
		return nil, refusal.WithoutStep(err)
	case r.Kind == refusal.Invalid:
		return rawText(http.StatusBadRequest, r.Message), nil
	case r.Kind == refusal.Denied:
		return rawText(http.StatusForbidden, consulDenied), nil
	}
	return rawText(http.StatusServiceUnavailable, consulUnreachable), nil
}

func (b *backend) consulLogin(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	if unknown := unknownFields(req, data, nil); len(unknown) > 0 {
		return rawText(http.StatusBadRequest, fmt.Sprintf("Failed to decode request body: there is no key %.64q", sent.Secrets(req.Data, req.Path).Text(unknown[0]))), nil
	}
	mint, err := b.consul.Get(ctx, req.Storage)
	switch {
	case err != nil:
		return nil, err
	case mint == nil:
		return rawText(http.StatusUnauthorized, consulOff), nil
	case data.Get("AuthMethod").(string) != mint.Config.Method():
		return rawText(http.StatusForbidden, consulUnknown), nil
	}
	jwt := data.Get("BearerToken").(string)
	if jwt == "" {
		return rawText(http.StatusForbidden, consulDenied), nil
	}
	meta := data.Get("Meta").(map[string]string)
	if err := consultoken.CheckMeta(meta); err != nil {
		return rawText(http.StatusBadRequest, err.Error()), nil
	}
	made, err := b.consulIssue(ctx, req, telemetry.DoorLogin, mint, consulRequest{method: mint.Config.Method(), jwt: jwt, meta: meta})
	if err != nil {
		return rawRefusal(err)
	}
	made.AuthMethod = mint.Config.Method()
	body, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	return raw(http.StatusOK, "application/json", body), nil
}

// consulRequest is what a token is asked for with.
type consulRequest struct {
	method string
	jwt    string
	known  *identity.Identity // in place of a jwt
	meta   map[string]string
}

// consulIssue makes a token, by whichever door it was asked for, and tells of it.
func (b *backend) consulIssue(ctx context.Context, req *logical.Request, door string, mint *consultoken.Mint, r consulRequest) (*consulacl.Token, error) {
	outcome, made, err := b.consulMake(ctx, req, mint, r)
	b.metrics.ConsulLogin(door, err)
	if err != nil {
		b.log.Refused(b.Logger(), req.MountPoint, r.method, err)
		return nil, err
	}
	id := outcome.Identity
	b.log.ConsulToken(b.Logger(), req.MountPoint, r.method, telemetry.ConsulToken{
		Namespace: id.Namespace(), ServiceAccount: id.Name(), UID: id.UID(), Accessor: made.AccessorID, Rules: outcome.Grants.Rules,
	})
	return made, nil
}

// consulMake finds out what a service account is to get, and only then makes it.
func (b *backend) consulMake(ctx context.Context, req *logical.Request, mint *consultoken.Mint, r consulRequest) (*login.ConsulOutcome, *consulacl.Token, error) {
	request := login.ConsulRequest{JWT: r.jwt, Known: r.known, Observer: login.Unobserved, Namespaces: mint.Namespaces()}
	if req.Connection != nil {
		request.Source = login.From(req.Connection.RemoteAddr)
	}
	outcome, err := login.ForConsul(ctx, b.at(req.Storage), request)
	if err != nil {
		return nil, nil, err
	}
	made, err := mint.Make(ctx, consultoken.Wanted{Grants: outcome.Grants, Namespace: outcome.Namespace, Meta: r.meta})
	if err != nil {
		err = &refusal.StepError{Step: refusal.StepConsulToken, Err: consultoken.Refusal(err)}
	}
	return outcome, made, err
}

func (b *backend) consulLogout(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	mint, err := b.consul.Get(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if mint == nil {
		return rawText(http.StatusUnauthorized, consulOff), nil
	}
	header := ""
	for name, values := range req.Headers {
		if strings.EqualFold(name, consulHeader) && len(values) == 1 {
			header = values[0]
		}
	}
	if header == "" {
		b.Logger().Debug("logout of Consul without a token; Vault hands it on after vault auth tune -passthrough-request-headers="+consulHeader, "mount", req.MountPoint)
		return rawText(http.StatusForbidden, consulUnknown), nil
	}
	switch err := mint.Logout(ctx, header); {
	case errors.Is(err, consultoken.ErrNotOurs):
		return rawText(http.StatusForbidden, consulNotLogin), nil
	case err != nil:
		err = &refusal.StepError{Step: refusal.StepConsulToken, Err: consultoken.Refusal(err)}
		b.log.Refused(b.Logger(), req.MountPoint, mint.Config.Method(), err)
		return rawRefusal(err)
	}
	return raw(http.StatusOK, "application/json", []byte("true\n")), nil
}
