package main

import (
	"context"
	"net/http"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/explain"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// explainConsul tells how a login for a Consul token would end, and makes none.
func (b *backend) explainConsul(ctx context.Context, req *logical.Request, request login.Request, account *explain.Account) (*logical.Response, error) {
	mint, err := b.consul.Get(ctx, req.Storage)
	switch {
	case err != nil:
		return nil, err
	case mint == nil:
		return logical.ErrorResponse(noConsul), nil
	case request.Role != "":
		return logical.ErrorResponse("role: a Consul token is given by the binding rules; leave it out"), nil
	}
	outcome, err := login.ForConsul(ctx, b.at(req.Storage), login.ConsulRequest{
		JWT: request.JWT, Source: request.Source, Observer: account, Anew: true, Namespaces: mint.Namespaces(),
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
		Mount: req.MountPoint, Outcome: &outcome.Outcome, Account: account, Err: err, Sent: secretsOfLogin(request), Now: b.now(),
		Consul: true, ClientSees: consulClientSees,
	}
	all := answer.Data()
	if err == nil {
		all["consul_token"] = map[string]any{
			"services": existing.Services, "nodes": existing.Nodes, "roles": existing.Roles, "policies": existing.Policies,
			"templated_policies": namesOf(existing.TemplatedPolicies, func(p binding.TemplatedPolicy) string { return p.Template + " " + p.Name }),
			"skipped":            skipped(outcome.Grants, existing),
			"namespace":          outcome.Namespace, "ttl": seconds(mint.Config.MaxTTL()), "local": mint.Config.Local(),
		}
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

// skipped are the roles and policies that rules give and that do not exist.
func skipped(granted, existing binding.ConsulGrants) []string {
	missing := []string{}
	for _, name := range granted.Roles {
		if !slices.Contains(existing.Roles, name) {
			missing = append(missing, "role "+name)
		}
	}
	for _, name := range granted.Policies {
		if !slices.Contains(existing.Policies, name) {
			missing = append(missing, "policy "+name)
		}
	}
	return missing
}
