package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/prometheus/common/expfmt"

	"vault-plugin-auth-kubernetes/internal/check"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/kube"
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
	data, err := check.Run(kube.Insist(ctx), &check.Mount{
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

// metricsContentType is that of Prometheus' text format.
const metricsContentType = "text/plain; version=0.0.4; charset=utf-8"

const (
	metricsHelpSynopsis    = "Counters of this mount in Prometheus' text format."
	metricsHelpDescription = `
The answer is plain text, to be scraped, and not Vault's JSON: read it over HTTP, or
with vault read -format=raw. The numbers are of the node that answers, and begin at
zero when the plugin starts.
`
)

func (b *backend) pathMetrics() *framework.Path {
	return &framework.Path{
		Pattern: "metrics$",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{Callback: b.metricsRead},
		},
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix,
			OperationVerb:   "read",
			OperationSuffix: "metrics",
		},
		HelpSynopsis:    metricsHelpSynopsis,
		HelpDescription: metricsHelpDescription,
	}
}

// metricsRead answers with a body of its own. The plugin protocol carries it as
// base64, which Vault takes back.
func (b *backend) metricsRead(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	families, err := b.metrics.Registry.Gather()
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	encoder := expfmt.NewEncoder(&body, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return nil, err
		}
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPContentType: metricsContentType,
		logical.HTTPRawBody:     body.Bytes(),
		logical.HTTPStatusCode:  http.StatusOK,
	}}, nil
}
