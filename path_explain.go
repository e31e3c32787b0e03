package main

import (
	"context"
	"net/netip"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
)

const (
	explainHelpSynopsis    = "Tells how a login would end, step by step, and issues nothing."
	explainHelpDescription = `
Send a token as jwt and, as to login, the name of a role or none. The login is made
as far as it goes: the API server is asked whose the token is, whatever
token_review_cache_ttl says, and each step tells its verdict. Once the token is
confirmed, all bounds of the role are judged, and not the first that refuses only.

The answer names the service account, what the binding rules came to, and what a
Vault token would get. Where the role has token_bound_cidrs, give the client's
address as remote_addr. A field that does not exist is refused. The token is not
repeated in the answer.

Whoever may use this path learns what roles and rules say. It is for operators.
`
)

func (b *backend) pathExplain() *framework.Path {
	return &framework.Path{
		Pattern: "explain$",
		Fields: map[string]*framework.FieldSchema{
			"role": {
				Type: framework.TypeString,
				Description: `Name of the role of the login. Without it the binding rules decide; so they do
where it is empty, as in a login, and the answer has a note.`,
			},
			"jwt": {
				Type:         framework.TypeString,
				Description:  "Token of the service account. Required.",
				DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
			},
			"remote_addr": {
				Type:        framework.TypeString,
				Description: "IP address that the client logs in from. Without it no source address is judged.",
			},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{Callback: b.explainWrite},
		},
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix,
			OperationVerb:   "explain",
			OperationSuffix: "login",
		},
		HelpSynopsis:    explainHelpSynopsis,
		HelpDescription: explainHelpDescription,
	}
}

// explainWrite makes a login that issues nothing. It is no login, and so it is
// neither logged nor counted as one.
func (b *backend) explainWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	if response := refuseUnknown(req, data); response != nil {
		return response, nil
	}
	body := readLoginBody(data)
	if err := requireValue("jwt", body.jwt); err != nil {
		return respond(err)
	}
	remote, err := remoteOf(data)
	if err != nil {
		return respond(err)
	}
	answer := &explainAnswer{
		mount:   req.MountPoint,
		role:    body.role,
		account: &explanation{},
		empty:   namedEmpty(data, "role", "remote_addr"),
		sent:    body.secrets(),
		now:     b.now(),
	}
	answer.login, err = b.newLogin(ctx, req, body)
	if err == nil {
		answer.login.remote, answer.login.explained = remote, answer.account
		err = answer.login.logIn(ctx)
	}
	if err != nil && refusal.KindOf(err) == 0 {
		return respond(err) // the host's own, such as of storage
	}
	answer.err = err
	return &logical.Response{Data: answer.data()}, nil
}

// namedEmpty are those of some fields that a request names and leaves empty, as a variable
// does that was not set.
func namedEmpty(data *framework.FieldData, fields ...string) []string {
	return slices.DeleteFunc(fields, func(field string) bool {
		_, named := data.Raw[field]
		return !named || data.Get(field) != ""
	})
}

// remoteOf is the connection of the client whose login is explained; nil if the
// request does not tell.
func remoteOf(data *framework.FieldData) (*logical.Connection, error) {
	text := data.Get("remote_addr").(string)
	if text == "" {
		return nil, nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return nil, refusal.OfRequest("remote_addr is no IP address", "remote_addr has to be an IP address, without a port")
	}
	return &logical.Connection{RemoteAddr: address.String()}, nil
}
