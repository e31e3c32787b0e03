package main

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/check"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/role"
)

const (
	checkHelpSynopsis    = "Says whether this mount's configuration can work, and what to do where it cannot."
	checkHelpDescription = `
Looks at the way to the API server, its certificate, its clock, the reviewer's
credential and permissions, and the cluster's keys and issuer. Each check has a key
with pass, warn, fail or skip and what was found; a warn or a fail has another key,
ending in _remedy, with what to do. status is the worst of them, failed and warned
are the names of the checks.

It takes no longer than a login may: twice the request_timeout. Nothing is changed,
and the answer holds no token and no key.
`
)

func (b *backend) pathCheck() *framework.Path {
	return &framework.Path{
		Pattern: "check$",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{Callback: b.checkRead},
		},
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix,
			OperationVerb:   "check",
			OperationSuffix: "auth-configuration",
		},
		HelpSynopsis:    checkHelpSynopsis,
		HelpDescription: checkHelpDescription,
	}
}

func (b *backend) checkRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	data, err := check.Run(ctx, &check.Mount{
		Path:    strings.TrimSuffix(req.MountPoint, "/"),
		Storage: req.Storage,
		Cluster: b.cluster,
		Rules:   b.rules,
		LoadRole: func(ctx context.Context, name string) (*role.Role, error) {
			return b.loadRole(ctx, req.Storage, name, nil)
		},
		Consul: func(ctx context.Context) (*consultoken.Mint, error) { return b.consul.Get(ctx, req.Storage) },
		Now:    b.time,
	})
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: data}, nil
}
