package main

import (
	"bytes"
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/prometheus/common/expfmt"
)

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
