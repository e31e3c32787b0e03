package main

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/explain"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/sent"
	"vault-plugin-auth-kubernetes/internal/token"
)

const (
	explainHelpSynopsis    = "Tells how a login would end, step by step, and issues nothing."
	explainHelpDescription = `
Send a token as jwt and, as to login, the name of a role or none. The login is made
as far as it goes: the API server is asked whose the token is, whatever
token_review_cache_ttl says, and each step tells its verdict. Once the token is
confirmed, all bounds of the role are judged, and not the first that refuses only.

Without a token, service_account=NAMESPACE/NAME asks what that account would get: the
same bounds and rules are gone through, and what only a token could show is assumed, which
the answer says. Labels and annotations are looked up, or given.

The answer names the service account, what the binding rules came to, and what a
Vault token would get. Where the role has token_bound_cidrs, give the client's
address as remote_addr. Commands with kubectl in a remedy go to the cluster of its current
context, which has to be this mount's. A field that does not exist is refused. The token is not
repeated in the answer.

Whoever may use this path learns what roles and rules say. It is for operators.
`
)

func (b *backend) pathExplain() *framework.Path {
	return &framework.Path{
		Pattern: "explain$",
		Fields: explainFields(map[string]*framework.FieldSchema{
			"role": {
				Type: framework.TypeString,
				Description: `Name of the role of the login. Without it the binding rules decide; so they do
where it is empty, as in a login, and the answer has a note.`,
			},
			"jwt": {
				Type:         framework.TypeString,
				Description:  "Token of the service account. Required, unless service_account is given.",
				DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
			},
			"reviewer_jwt": {
				Type:         framework.TypeString,
				Description:  "With jwt: the second token of the login, as login takes it.",
				DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
			},
			"consul": {
				Type: framework.TypeBool,
				Description: `Explain a login for a Consul token, as consul login makes it, and make none. It
is by the binding rules; role may be what a client gives as its auth method.`,
			},
			"rule": {
				Type:        framework.TypeLowerCaseString,
				Description: "Without a role: name of a binding rule that the answer is to have by itself, however many there are.",
			},
			"remote_addr": {
				Type:        framework.TypeString,
				Description: "IP address that the client logs in from. Without it no source address is judged.",
			},
		}),
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
	if response := refuseUnknown(req, data, nil); response != nil {
		return response, nil
	}
	supposed, err := supposes(data)
	switch {
	case err != nil:
		return respond(err)
	case supposed:
		return b.explainSupposed(ctx, req, data)
	}
	request := loginRequest(req, data)
	if request.JWT == "" {
		return respond(refusal.Missing("jwt"))
	}
	source, err := sourceOf(data)
	if err != nil {
		return respond(err)
	}
	account := &explain.Account{}
	request.Source, request.Observer = source, account
	if data.Get("consul").(bool) {
		return b.explainConsul(ctx, req, request, account)
	}
	request.Anew = true // what is true now, not a moment ago
	outcome, err := login.LogIn(ctx, b.at(req.Storage), request)
	if err == nil {
		err = explain.RefusedByHost(ctx, b.at(req.Storage), &outcome.Finding, req.MountPoint, request.Role)
	}
	if err != nil && refusal.KindOf(err) == 0 {
		return respond(err) // the host's own, such as of storage
	}
	answer := b.answerTo(req, data, account, err)
	answer.Role, answer.Sent = request.Role, secretsOfLogin(request)
	if outcome != nil {
		answer.Outcome = &outcome.Finding
	}
	all := answer.Data()
	if err == nil {
		b.addFound(answer, all, authOf(outcome, request.Role))
	}
	return &logical.Response{Data: all}, nil
}

// answerTo is what answers have in common, with a token and without.
func (b *backend) answerTo(req *logical.Request, data *framework.FieldData, account *explain.Account, err error) *explain.Answer {
	return &explain.Answer{
		Mount:   req.MountPoint,
		Account: account,
		Err:     err,
		Rule:    data.Get("rule").(string),
		Empty:   namedEmpty(data, "role", "remote_addr"),
		Now:     b.now(),

		ClientSees: clientSees,
	}
}

// addFound adds what there is to tell where nothing refused.
func (b *backend) addFound(answer *explain.Answer, all map[string]any, token *logical.Auth) {
	addToken(answer, all, token)
	left := map[string]string{}
	for _, annotation := range answer.Outcome.Annotations.Left {
		left[annotation.Key] = annotation.Reason
	}
	answer.AddMap(all, "annotations_left_out", left)
}

// secretsOfLogin are the token, and one that was sent as the role by mistake.
func secretsOfLogin(r login.Request) []string {
	secrets := append(sent.Token(r.JWT), sent.Token(r.ReviewerJWT)...)
	if token.LooksLike(r.Role) {
		secrets = append(secrets, sent.Token(r.Role)...)
	}
	return secrets
}

// namedEmpty are those of some fields that a request names and leaves empty, as a variable
// does that was not set.
func namedEmpty(data *framework.FieldData, fields ...string) []string {
	return slices.DeleteFunc(fields, func(field string) bool {
		_, named := data.Raw[field]
		return !named || data.Get(field) != ""
	})
}

// sourceOf is the address of the client whose login is explained, if the request tells.
func sourceOf(data *framework.FieldData) (login.Source, error) {
	text := data.Get("remote_addr").(string)
	if text == "" {
		return login.SourceNotGiven, nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return login.Source{}, refusal.OfRequest("remote_addr is no IP address", "remote_addr has to be an IP address, without a port")
	}
	return login.From(address.String()), nil
}

// addToken adds what the host would make a token from: the very structure that a
// login answers with, under the names of the fields of a role.
func addToken(a *explain.Answer, data map[string]any, auth *logical.Auth) {
	data["policies"] = a.Lines(auth.Policies)
	data["display_name"] = auth.DisplayName
	data["alias_name"] = auth.Alias.Name
	a.AddMap(data, "alias_metadata", metadata.Merged(auth.Alias.CustomMetadata, auth.Alias.Metadata))
	a.AddMap(data, "token_metadata", auth.Metadata)
	a.NoteOfPolicies(data, auth.Alias.Name, auth.Alias.Metadata)
	data["token_type"] = auth.TokenType.String()
	data["token_ttl"] = seconds(auth.TTL)
	data["token_max_ttl"] = seconds(auth.MaxTTL)
	for key, d := range map[string]time.Duration{"token_explicit_max_ttl": auth.ExplicitMaxTTL, "token_period": auth.Period} {
		if d != 0 {
			data[key] = seconds(d)
		}
	}
	if auth.NumUses != 0 {
		data["token_num_uses"] = auth.NumUses
	}
	if auth.NoDefaultPolicy {
		data["token_no_default_policy"] = true
	}
	if len(auth.BoundCIDRs) > 0 {
		data["token_bound_cidrs"] = strings.Split(explain.Addresses(auth.BoundCIDRs), ", ")
	}
	if len(auth.GroupAliases) > 0 {
		names := make([]string, len(auth.GroupAliases))
		for i, group := range auth.GroupAliases {
			names[i] = group.Name
		}
		data["group_aliases"] = a.Lines(names)
	}
}

// seconds is how durations stand in answers; the vault command prints them as 20m.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// explainConsul tells how a login for a Consul token would end, and makes none.
func (b *backend) explainConsul(ctx context.Context, req *logical.Request, request login.Request, account *explain.Account) (*logical.Response, error) {
	mint, err := b.consul.Get(ctx, req.Storage)
	switch {
	case err != nil:
		return nil, err
	case mint == nil:
		return logical.ErrorResponse(noConsul), nil
	}
	outcome, err := login.ForConsul(ctx, b.at(req.Storage), login.ConsulRequest{
		Role: roleOfMethod(mint, request.Role), JWT: request.JWT, ReviewerJWT: request.ReviewerJWT, Source: request.Source, Observer: account, Anew: true, Namespaces: mint.Namespaces(),
	})
	var existing binding.ConsulGrants
	if err == nil {
		existing, err = mint.Would(ctx, consultoken.Wanted{Grants: outcome.Grants, Namespace: outcome.Namespace})
		if err != nil {
			err = &refusal.StepError{Step: refusal.StepConsulToken, Err: consultoken.Refusal(err)}
		}
		account.StepEnded(refusal.StepConsulToken, err)
	}
	if err != nil && refusal.KindOf(err) == 0 {
		return respond(err)
	}
	answer := &explain.Answer{
		Mount: req.MountPoint, Account: account, Err: err, Sent: secretsOfLogin(request), Now: b.now(),
		Consul: true, ClientSees: consulClientSees,
	}
	if outcome != nil {
		answer.Outcome = &outcome.Finding
	}
	all := answer.Data()
	if err == nil {
		maps.Copy(all, map[string]any{
			"consul_token/services": existing.Services, "consul_token/nodes": existing.Nodes,
			"consul_token/roles": existing.Roles, "consul_token/policies": existing.Policies,
			"consul_token/templated_policies": namesOf(existing.TemplatedPolicies, func(p binding.TemplatedPolicy) string { return p.Template + ":" + p.Name }),
			"consul_token/skipped":            skipped(outcome.Grants, existing),
			"consul_token/namespace":          outcome.Namespace, "consul_token/ttl": seconds(mint.Config.MaxTTL()), "consul_token/local": mint.Config.Local(),
		})
	}
	return &logical.Response{Data: all}, nil
}

// consulClientSees is the status and the text of the answer to a login that ends with err.
func consulClientSees(err error) (status int, message string) {
	response, err := rawRefusal(err)
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	body, _ := response.Data[logical.HTTPRawBody].([]byte)
	status, _ = response.Data[logical.HTTPStatusCode].(int)
	return status, string(body)
}

// skipped are the roles and policies that rules give and that do not exist, without spaces,
// which are all that stands between the entries of a list where the vault command prints it.
func skipped(granted, existing binding.ConsulGrants) []string {
	missing := []string{}
	for _, name := range granted.Roles {
		if !slices.Contains(existing.Roles, name) {
			missing = append(missing, "role/"+name)
		}
	}
	for _, name := range granted.Policies {
		if !slices.Contains(existing.Policies, name) {
			missing = append(missing, "policy/"+name)
		}
	}
	return missing
}
