package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/sent"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

const (
	consulTokenPath  = "consul/token/"
	consulSecretType = "consul_token"
)

const (
	consulLeaseHelpSynopsis    = "Makes a Consul token with a lease."
	consulLeaseHelpDescription = `
The token is for a service account, by the binding rules: in a write, that of the jwt; in a
read, that of the Vault token which asks, if mount_accessor of consul/config says which mount
this is, and the token was issued by it. It is revoked with
its lease, with the Vault token that asked for it, and when the mount is disabled. It can be
renewed until it expires in Consul, which is after max_token_ttl and cannot be changed.
`
)

func (b *backend) pathConsulToken() *framework.Path {
	return &framework.Path{
		Pattern: consulTokenPath + framework.GenericNameRegex("role"),
		Fields: map[string]*framework.FieldSchema{
			"role": {Type: framework.TypeString, Description: "auth_method of consul/config, or a role with use_binding_rules."},
			"jwt": {
				Type: framework.TypeString, DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
				Description: "Token of the service account that the Consul token is for. Without it, that of the Vault token which asks, where mount_accessor is configured.",
			},
			"reviewer_jwt": {
				Type: framework.TypeString, DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
				Description: "With jwt: a second token of the same pod that asks whose jwt is, as in a login.",
			},
			"ttl": {Type: framework.TypeDurationSecond, Description: "How long the first lease lasts, max_token_ttl at most. Default: the mount's."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation:   &framework.PathOperation{Callback: b.consulTokenIssue},
			logical.UpdateOperation: &framework.PathOperation{Callback: b.consulTokenIssue},
		},
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "issue", OperationSuffix: "consul-token"},
		HelpSynopsis:    consulLeaseHelpSynopsis,
		HelpDescription: consulLeaseHelpDescription,
	}
}

// expiredFor is how long after its end a token is gone for certain, whatever the clocks.
const expiredFor = 5 * time.Minute

// What the lease of a token knows of it.
const (
	leaseAccessor = "accessor"
	leaseExpires  = "expires"
)

func (b *backend) consulSecret() *framework.Secret {
	return &framework.Secret{
		Type:   consulSecretType,
		Fields: map[string]*framework.FieldSchema{"token": {Type: framework.TypeString, Description: "SecretID of the Consul token."}},
		Renew:  b.consulTokenRenew,
		Revoke: b.consulTokenRevoke,
	}
}

func (b *backend) consulTokenIssue(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	if response := refuseUnknown(req, data, nil); response != nil {
		return response, nil
	}
	mint, err := b.consul.Get(ctx, req.Storage)
	switch {
	case err != nil:
		return nil, err
	case mint == nil:
		return logical.ErrorResponse(noConsul), nil // no 404: of one to a read the vault command does not show the reason
	}
	ttl := time.Duration(data.Get("ttl").(int)) * time.Second
	if ttl < 0 || ttl > mint.Config.MaxTTL() {
		return logical.ErrorResponse("ttl: max_token_ttl, %s, at most", mint.Config.MaxTTL()), nil
	}
	r := consulRequest{method: data.Get("role").(string), jwt: data.Get("jwt").(string), reviewerJWT: data.Get("reviewer_jwt").(string)}
	if r.jwt == "" && r.reviewerJWT != "" {
		return logical.ErrorResponse("reviewer_jwt goes with jwt"), nil
	}
	if r.jwt == "" {
		id, err := b.accountOf(req, mint.Config.MountAccessor)
		if err != nil {
			return logical.ErrorResponse(err.Error()), nil
		}
		r.known = &id
	}
	made, err := b.consulIssue(ctx, req, telemetry.DoorLease, mint, r)
	if err != nil {
		return respond(err)
	}
	return b.leased(made, ttl), nil
}

// leased is a token with its lease, which ends no later than the token.
func (b *backend) leased(made *consulacl.Token, ttl time.Duration) *logical.Response {
	response := b.Secret(consulSecretType).Response(map[string]any{
		"token":              made.SecretID,
		"accessor":           made.AccessorID,
		"local":              made.Local,
		"expiration_time":    made.ExpirationTime.UTC().Format(time.RFC3339),
		"consul_namespace":   made.Namespace,
		"partition":          made.Partition,
		"service_identities": namesOf(made.ServiceIdentities, func(s consulacl.ServiceIdentity) string { return s.ServiceName }),
		"node_identities":    namesOf(made.NodeIdentities, func(n consulacl.NodeIdentity) string { return n.NodeName + ":" + n.Datacenter }),
		"consul_roles":       namesOf(made.Roles, func(l consulacl.Link) string { return l.Name }),
		"consul_policies":    namesOf(made.Policies, func(l consulacl.Link) string { return l.Name }),
	}, map[string]any{
		leaseAccessor: made.AccessorID,
		leaseExpires:  made.ExpirationTime.UTC().Format(time.RFC3339),
	})
	left := made.ExpirationTime.Sub(b.now())
	response.Secret.TTL, response.Secret.MaxTTL = min(ttl, left), left
	response.Secret.Renewable = true
	return response
}

func namesOf[T any](list []T, name func(T) string) []string {
	names := make([]string, 0, len(list))
	for _, one := range list {
		names = append(names, name(one))
	}
	slices.Sort(names)
	return names
}

var (
	errNoAccessor = errors.New("give jwt=… of a service account; to have the Vault token that asks count in its place, set mount_accessor of consul/config")
	errNoAccount  = errors.New("the Vault token that asks was not issued by this mount to a service account; give jwt=… of one, or ask with such a token")
)

// accountOf is the service account that the Vault token of a request was issued to by this
// mount. The host knows the entity of the token, and only this mount writes what its alias
// in it says of the account. Other mounts may know the entity too, and trust another
// cluster; the host does not tell which of them this one is, so the operator does.
func (b *backend) accountOf(req *logical.Request, accessor string) (identity.Identity, error) {
	if accessor == "" {
		return identity.Identity{}, errNoAccessor
	}
	if req.EntityID == "" {
		return identity.Identity{}, errNoAccount
	}
	entity, err := b.System().EntityInfo(req.EntityID)
	if err != nil || entity == nil {
		return identity.Identity{}, errNoAccount
	}
	for _, alias := range entity.Aliases {
		if alias.MountAccessor == accessor {
			id, err := identity.FromLeaseMetadata(alias.Metadata[metadata.Namespace], alias.Metadata[metadata.Name], alias.Metadata[metadata.UID], identity.Object{})
			if err == nil {
				return id, nil
			}
		}
	}
	return identity.Identity{}, errNoAccount
}

// leasedToken is what a lease knows of its token.
func leasedToken(secret *logical.Secret) (accessor string, expires time.Time, err error) {
	accessor, _ = secret.InternalData[leaseAccessor].(string)
	text, _ := secret.InternalData[leaseExpires].(string)
	expires, err = time.Parse(time.RFC3339, text)
	if accessor == "" || err != nil {
		return "", time.Time{}, errors.New("the lease does not say which Consul token it is of")
	}
	return accessor, expires, nil
}

// consulTokenRevoke takes the token back. What is gone, or has expired, is taken back.
func (b *backend) consulTokenRevoke(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	accessor, expires, err := leasedToken(req.Secret)
	if err != nil {
		return nil, err
	}
	mint, err := b.consul.Get(ctx, req.Storage)
	switch {
	case err == nil && mint == nil:
		err = errors.New(noConsul)
	case err == nil:
		err = mint.Client.Revoke(ctx, accessor)
	}
	if err != nil && b.now().After(expires.Add(expiredFor)) {
		return nil, nil // Consul has deleted it by itself, whoever may be asked about that
	}
	return nil, err
}

// consulTokenRenew lets the lease last longer, and no longer than the token.
func (b *backend) consulTokenRenew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	accessor, expires, err := leasedToken(req.Secret)
	if err != nil {
		return nil, err
	}
	left := expires.Sub(b.now())
	if left < time.Second {
		return logical.ErrorResponse("the Consul token has expired, and Consul cannot extend it; ask for another one"), nil
	}
	mint, err := b.consul.Get(ctx, req.Storage)
	if err == nil && mint != nil {
		// An outage takes nothing away from a token that is good.
		if _, err := mint.Client.Read(ctx, accessor); consulacl.FailureOf(err) == consulacl.NotFound {
			return logical.ErrorResponse("the Consul token is gone; ask for another one"), nil
		}
	}
	ttl, _, err := framework.CalculateTTL(b.System(), req.Secret.Increment, 0, 0, left, 0, b.now())
	if err != nil {
		return nil, err
	}
	response := &logical.Response{Secret: req.Secret}
	response.Secret.TTL, response.Secret.MaxTTL = min(ttl, left), expires.Sub(req.Secret.IssueTime)
	if wanted := req.Secret.Increment; wanted > left {
		response.AddWarning(fmt.Sprintf("the Consul token expires in %s, and Consul cannot extend it; the lease ends with it", left.Round(time.Second)))
	}
	return response, nil
}

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
auth_method of consul/config, or the name of a role with use_binding_rules, whose bounds
then have to hold too. The answer is Consul's and not Vault's, errors as well.
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
			"AuthMethod":  {Type: framework.TypeString, Description: "auth_method of consul/config, or a role with use_binding_rules."},
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
	case errors.Is(err, login.ErrUnknownMethod):
		return rawText(http.StatusForbidden, consulUnknown), nil
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
	}
	method := data.Get("AuthMethod").(string)
	if method == "" {
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
	made, err := b.consulIssue(ctx, req, telemetry.DoorLogin, mint, consulRequest{method: method, jwt: jwt, meta: meta})
	if err != nil {
		return rawRefusal(err)
	}
	made.AuthMethod = method
	body, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	return raw(http.StatusOK, "application/json", body), nil
}

// consulRequest is what a token is asked for with.
type consulRequest struct {
	method string // auth_method of consul/config, or a role with use_binding_rules
	jwt    string
	// reviewerJWT is a second token that asks whose jwt is; empty for none
	reviewerJWT string
	known       *identity.Identity // in place of a jwt
	meta        map[string]string
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

// roleOfMethod is the role that a client names as its auth method; "" where it names the
// binding rules themselves.
func roleOfMethod(mint *consultoken.Mint, method string) string {
	if method == mint.Config.Method() {
		return ""
	}
	return method
}

// consulMake finds out what a service account is to get, and only then makes it.
func (b *backend) consulMake(ctx context.Context, req *logical.Request, mint *consultoken.Mint, r consulRequest) (*login.ConsulOutcome, *consulacl.Token, error) {
	request := login.ConsulRequest{Role: roleOfMethod(mint, r.method), JWT: r.jwt, ReviewerJWT: r.reviewerJWT, Known: r.known, Observer: login.Unobserved, Namespaces: mint.Namespaces()}
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
