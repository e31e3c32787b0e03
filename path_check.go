package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/prometheus/common/expfmt"

	"vault-plugin-auth-kubernetes/internal/access"
	"vault-plugin-auth-kubernetes/internal/check"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
	"vault-plugin-auth-kubernetes/internal/role"
)

const (
	checkHelpSynopsis    = "Says whether this mount's configuration can work, and what to do where it cannot."
	checkHelpDescription = `
Looks at the way to the API server, its certificate, its clock, the reviewer's
credential and permissions, and the cluster's keys and issuer. Each check has a key
with pass, warn, fail or skip and what was found; a warn or a fail has another key,
ending in _remedy, with what to do. status is the worst of them, failed and warned
are the names of the checks. Commands with kubectl go to the cluster of its current
context; note says which one this mount is for.

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

const (
	accessHelpSynopsis    = "Says who can be given a policy, or what a service account could use."
	accessHelpDescription = `
access/policy/NAME lists the roles and binding rules that can give the policy, and whom
each is for. access/service-account/NAMESPACE/NAME lists those that the service account
could use, and what each gives. What is not known without a login, such as labels, pods
and audiences, is told as a condition; explain judges it.

Policies that Vault itself attaches to entities and groups are not among them: see
identity/group and identity/entity.

A page has limit entries and looks at no more than 1,000 roles; next is what to send as
after to get the following one, and is not there on the last.
`
)

func (b *backend) pathsAccess() []*framework.Path {
	paged := func(fields map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
		fields["after"] = &framework.FieldSchema{Type: framework.TypeString, Query: true, Description: "next of the page before."}
		fields["limit"] = &framework.FieldSchema{Type: framework.TypeInt, Query: true, Default: 100, Description: "Entries of a page, 1 to 1000."}
		return fields
	}
	path := func(pattern, suffix string, fields map[string]*framework.FieldSchema, ask func(*framework.FieldData) (access.Question, error)) *framework.Path {
		return &framework.Path{
			Pattern: pattern,
			Fields:  paged(fields),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{Callback: func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
					return b.accessRead(ctx, req, data, ask)
				}},
			},
			DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "list", OperationSuffix: suffix},
			HelpSynopsis:    accessHelpSynopsis,
			HelpDescription: accessHelpDescription,
		}
	}
	return []*framework.Path{
		path("access/policy/(?P<policy>.+)", "access-of-policy", map[string]*framework.FieldSchema{
			"policy": {Type: framework.TypeLowerCaseString, Description: "Name of the policy."},
		}, func(data *framework.FieldData) (access.Question, error) {
			return access.Policy(data.Get("policy").(string)), nil
		}),
		path("access/service-account/(?P<service_account>.+)", "access-of-service-account", map[string]*framework.FieldSchema{
			"service_account": {Type: framework.TypeString, Description: "NAMESPACE/NAME, or as Kubernetes writes it: system:serviceaccount:NAMESPACE:NAME."},
		}, func(data *framework.FieldData) (access.Question, error) {
			namespace, name := identity.SplitAccount(data.Get("service_account").(string))
			who, err := identity.Suppose(namespace, name, identity.Object{}, identity.Object{})
			return access.Account{Who: who}, err
		}),
	}
}

func (b *backend) accessRead(ctx context.Context, req *logical.Request, data *framework.FieldData, ask func(*framework.FieldData) (access.Question, error)) (*logical.Response, error) {
	question, err := ask(data)
	if err != nil {
		return logical.ErrorResponse("the service account %s", err), nil
	}
	page := &access.Page{
		Limit: data.Get("limit").(int),
		After: data.Get("after").(string),
		Load: func(ctx context.Context, name string) (*role.Role, error) {
			return b.usableRole(ctx, req.Storage, name)
		},
	}
	if page.Limit < 1 || page.Limit > access.MaxEntries {
		return logical.ErrorResponse("limit: 1 to %d", access.MaxEntries), nil
	}
	mount := b.at(req.Storage)
	if c, err := mount.Cluster(ctx); err == nil && c != nil {
		page.RuleRole = role.Key(c.Config.BindingRuleRole)
	}
	names, err := req.Storage.List(ctx, role.Prefix)
	if err != nil {
		return nil, err
	}
	set, err := mount.Rules(ctx)
	if err != nil {
		return nil, err
	}
	if err := page.Fill(ctx, question, names, set); err != nil {
		return nil, err
	}
	return accessResponse(page), nil
}

func accessResponse(page *access.Page) *logical.Response {
	response := &logical.Response{Data: map[string]any{}}
	for key, line := range page.Found {
		response.Data[key] = line
	}
	if next := page.Next(); next != "" {
		response.Data["next"] = next
	}
	if len(response.Data) == 0 {
		response.AddWarning("no role and no binding rule of this mount")
	}
	return response
}

// usableRole reads a role past the cache, which is for roles that logins use; nil if there
// is none, or it is damaged: no login can use it then, and check says so.
func (b *backend) usableRole(ctx context.Context, s logical.Storage, name string) (*role.Role, error) {
	r, err := b.loadRole(ctx, s, role.Key(name), nil)
	if err != nil {
		if _, ofStorage := s.Get(ctx, role.StorageKey(name)); ofStorage == nil {
			return nil, nil
		}
	}
	return r, err
}

const (
	rotateReviewerHelpSynopsis    = "Replaces the reviewer's token now."
	rotateReviewerHelpDescription = `
Asks the API server for another token of token_reviewer_service_account and stores it in
the place of the last one, which is good until it ends. That is done by itself after four
fifths of a token's life; by hand it shows whether it can be done, after a permission was
given or an outage. The answer tells when the new token ends, and holds no token.
`
)

func (b *backend) pathRotateReviewer() *framework.Path {
	return &framework.Path{
		Pattern: "config/rotate-reviewer$",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{Callback: b.rotateReviewer},
		},
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "rotate", OperationSuffix: "auth-reviewer"},
		HelpSynopsis:    rotateReviewerHelpSynopsis,
		HelpDescription: rotateReviewerHelpDescription,
	}
}

func (b *backend) rotateReviewer(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	want, err := wantedReviewer(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if want.Account == "" {
		return logical.ErrorResponse("the configuration has no token_reviewer_service_account, so the mount makes no tokens for the reviewer"), nil
	}
	outcome, err := b.reviewer.Run(ctx, req.Storage, reviewertoken.AllNow)
	if err != nil {
		return nil, err
	}
	b.tellReviewer(req.MountPoint, want.Account, outcome)
	switch {
	case outcome.Err != nil:
		return nil, logical.CodedError(http.StatusServiceUnavailable, reasonAndRemedy(outcome.Err))
	case outcome.Entry == nil:
		return nil, logical.CodedError(http.StatusConflict, "the configuration was changed meanwhile")
	}
	return &logical.Response{Data: map[string]any{
		"token_reviewer_service_account": want.Account,
		"expires_at":                     outcome.Entry.Ends().UTC().Format(time.RFC3339),
		"renewed_at":                     outcome.Entry.RenewAt().UTC().Format(time.RFC3339),
	}}, nil
}

// reasonAndRemedy is for operators.
func reasonAndRemedy(err error) string {
	if r := (*refusal.Refusal)(nil); errors.As(err, &r) && r.Remedy != "" {
		return err.Error() + "; " + r.Remedy
	}
	return err.Error()
}
