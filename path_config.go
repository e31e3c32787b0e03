package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/rules"
)

const (
	configHelpSynopsis    = "Says which Kubernetes cluster this mount trusts, and how to ask it."
	configHelpDescription = `
Every login makes one request to the TokenReview API of the cluster that is
configured here. As in Vault's own method, a write replaces the fields that this has:
those that it does not name get their defaults, and the reviewer's token is gone
unless it is named. Fields that Vault's own method does not have stay as they are
until a write names them; an empty value resets one, with a warning where it narrowed
who may log in. A patch changes only the fields that it names. The reviewer's token is
stored and never returned, nor is the password of proxy_url: it is read as xxxxx, and
what was read can be written back. kubernetes_client_cert and kubernetes_client_key are
a reviewer in place of that token, stored and never returned like it.

With token_reviewer_service_account the mount makes the reviewer's tokens by itself, and
token_reviewer_jwt is only the first: a write that does not name it takes nothing away.
Where kubernetes_host changes, a first one has to be named, since a token that the mount
made goes to no other API server.

Where Vault runs in a pod of the same cluster, only kubernetes_host is needed:
the pod's own CA bundle and token are used, and followed as Kubernetes renews
them. Elsewhere set kubernetes_ca_cert, token_reviewer_jwt and
disable_local_ca_jwt=true.
`
)

func (b *backend) pathConfig() *framework.Path {
	return &framework.Path{
		Pattern:      "config$",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields:       configFields(),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback:     b.configWrite,
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "configure", OperationSuffix: "auth"},
			},
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.configRead,
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "auth-configuration"},
			},
			logical.PatchOperation: &framework.PathOperation{
				Callback:     b.configPatch,
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "patch", OperationSuffix: "auth-configuration"},
			},
			logical.DeleteOperation: &framework.PathOperation{
				Callback:     b.configDelete,
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "delete", OperationSuffix: "auth-configuration"},
			},
		},
		HelpSynopsis:    configHelpSynopsis,
		HelpDescription: configHelpDescription,
	}
}

func (b *backend) configRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	config, err := config.Read(ctx, req.Storage)
	if err != nil || config == nil {
		return nil, err
	}
	return &logical.Response{Data: config.Data()}, nil
}

// configWrite replaces what Vault's own method has of the configuration: fields that are
// not named get their defaults. The others stay as they are unless they are named:
// whoever writes Vault's fields, such as Terraform, knows of no more, and must not switch
// require_audience off by it.
func (b *backend) configWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	response, err := b.change(ctx, req.Storage, reviewerKeys, func(s logical.Storage) (*logical.Response, error) {
		return b.configReplace(ctx, s, req, data)
	})
	response, err = withMeant(response, err, req, data)
	return b.withFirstReplaced(ctx, req, response, err)
}

func (b *backend) configReplace(ctx context.Context, s logical.Storage, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	before, err := s.Get(ctx, config.Path)
	if err != nil {
		return nil, err
	}
	stored, c := config.Decoded(before), &config.Entry{}
	if stored != nil {
		*c = *stored
	}
	_, namesReviewer := data.Raw["token_reviewer_jwt"]
	setConfig(c, data, overwritten(data))
	if err := c.KeepProxySecret(stored); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	warnings, err := c.TakeTexts(stored, data.Raw["pem_keys"])
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	c.SettleIssuer(stored, emptied(req))
	c.SettleReviewer(stored, namesReviewer)
	c.KeepUnset(stored)
	if lost := c.LostFrom(stored, data.Raw); len(lost) > 0 {
		warnings = append(warnings, fmt.Sprintf("A write replaces what it does not name: now at their defaults are %s. vault patch changes single fields.", strings.Join(lost, ", ")))
	}
	return b.configStore(ctx, s, req, data, stored, c, warnings...)
}

// configPatch changes the fields that are named; null means the default.
func (b *backend) configPatch(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	response, err := b.change(ctx, req.Storage, reviewerKeys, func(s logical.Storage) (*logical.Response, error) {
		return b.configMerge(ctx, s, req, data)
	})
	return b.withFirstReplaced(ctx, req, response, err)
}

// configMerge changes the fields that are named.
func (b *backend) configMerge(ctx context.Context, s logical.Storage, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	c, err := config.Read(ctx, s)
	if err != nil {
		return nil, err
	}
	if response := refuseUnknown(req, data, c.OnlyRead()); response != nil {
		return response, nil
	}
	if c == nil {
		return nil, logical.CodedError(404, "there is no configuration to patch; write one")
	}
	before, named := *c, patched(data)
	setConfig(c, data, named)
	if err := c.KeepProxySecret(&before); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	warnings, err := c.TakeTexts(&before, data.Raw["pem_keys"])
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	c.SettleIssuer(&before, emptied(req))
	c.SettleReviewer(&before, named("token_reviewer_jwt"))
	c.KeepUnset(&before)
	return b.configStore(ctx, s, req, data, &before, c, warnings...)
}

// patched tells which fields a patch names. A field that is null is taken out of
// data, so that reading it yields its default.
func patched(data *framework.FieldData) func(field string) bool {
	named := map[string]bool{}
	for field, value := range data.Raw {
		named[field] = true
		if value == nil {
			delete(data.Raw, field)
		}
	}
	return func(field string) bool { return named[field] }
}

func (b *backend) configDelete(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return b.change(ctx, req.Storage, reviewerKeys, func(s logical.Storage) (*logical.Response, error) {
		own, err := reviewertoken.Read(ctx, s)
		if err != nil {
			return nil, err
		}
		if err := s.Delete(ctx, config.Path); err != nil || own == nil {
			return nil, err
		}
		return nil, reviewertoken.Leave(context.WithoutCancel(ctx), s)
	})
}

// setConfig takes over the fields that are named, or their defaults where data has no
// value for them.
func setConfig(c *config.Entry, data *framework.FieldData, named func(field string) bool) {
	for field, target := range c.Fields() {
		if !named(field) {
			continue
		}
		switch target := target.(type) {
		case *string:
			*target = data.Get(field).(string)
		case *[]string:
			*target = data.Get(field).([]string)
		case *bool:
			*target = data.Get(field).(bool)
		case *int:
			*target = data.Get(field).(int)
		case *time.Duration:
			*target = time.Duration(data.Get(field).(int)) * time.Second
		case *map[string]string:
			*target = data.Get(field).(map[string]string)
		}
	}
}

// configStore validates and writes a configuration. before is the one that is stored, or
// nil.
func (b *backend) configStore(
	ctx context.Context, s logical.Storage, req *logical.Request, data *framework.FieldData, before, c *config.Entry, warnings ...string,
) (*logical.Response, error) {
	if err := cmp.Or(c.Validate(b.podCA.Read), c.CheckWrittenAudiences(before)); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	own, err := reviewertoken.Read(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := c.CheckReviewerAccount(own); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	if b.cluster.Credential(c)() != "" {
		c.ReviewerDropped = false // the files of a pod serve
	}
	entry, err := logical.StorageEntryJSON(config.Path, c)
	if err != nil {
		return nil, err
	}
	if err := s.Put(ctx, entry); err != nil {
		return nil, err
	}
	if own != nil && !c.MakesReviewerTokens() {
		if err := reviewertoken.Leave(context.WithoutCancel(ctx), s); err != nil {
			return nil, err
		}
	}
	if c.ReviewerDropped {
		b.Logger().Warn("the configuration was written without token_reviewer_jwt, and the reviewer's token that was stored is gone",
			"mount", req.MountPoint, "remedy", "write it again with token_reviewer_jwt, or confirm with token_reviewer_jwt=\"\"")
		warnings = append(warnings, reviewerDropped)
	}
	warnings = append(warnings, c.EmptiedFrom(before, emptied(req))...)
	warnings = append(warnings, c.EmptyBooleansAs(before, c.ReadAsFalse(before, req.Data, emptyBooleans(req, data)))...)
	if c.EmptiedReviewer(before, emptied(req)) && b.cluster.Credential(c)() == "" {
		b.Logger().Warn("token_reviewer_jwt of the configuration was written with an empty value, and the reviewer's token that was stored is gone",
			"mount", req.MountPoint, "remedy", "if each login is not meant to review itself, write it again with token_reviewer_jwt")
		warnings = append(warnings, reviewerEmptied)
	}
	if c.EnforcesDefaultIssuer {
		// In the log, and not in the response: there Vault's own method says nothing.
		b.Logger().Warn("issuers are validated and none is named, so only tokens with the default issuer can log in, which those of pods do not have",
			"issuer", config.DefaultIssuer, "remedy", "name the cluster's issuer, or set disable_iss_validation=true")
	}
	warnings = append(warnings, b.ruleRoleWarnings(ctx, s, c, namedIn(req, "binding_rule_role"))...)
	return answerWrite(req, data, warnings, before.OnlyRead()), nil
}

// overwritten tells which fields a write sets: all that Vault's own method has, and of
// the others those that it names. One of these that is null is taken out of data, so that
// reading it yields its default.
func overwritten(data *framework.FieldData) func(field string) bool {
	named := map[string]bool{}
	for _, field := range config.AddedFields() {
		value, ok := data.Raw[field]
		named[field] = ok
		if ok && value == nil {
			delete(data.Raw, field)
		}
	}
	return func(field string) bool {
		isNamed, added := named[field]
		return isNamed || !added
	}
}

// emptyPairsAsNone lets an empty text reset pairs, as it does any other field: the
// framework takes it for a pair that is malformed, and the command line has no other way
// to say it.
func emptyPairsAsNone(req *logical.Request) {
	for _, field := range []string{"consul_namespace_overrides", "bind_vars"} {
		ours := req.Path == config.Path || strings.HasPrefix(req.Path, rules.Prefix)
		if text, ok := req.Data[field].(string); ok && text == "" && ours {
			req.Data[field] = map[string]any{}
		}
	}
}

const reviewerEmptied = "token_reviewer_jwt was named with an empty value, and the reviewer's token that was stored is gone. " +
	"Each login now reviews itself with its own token, and is refused where its service account may not, or its token is for another audience. " +
	"If that was an empty file, or a variable that was not set, name token_reviewer_jwt again."

const reviewerDropped = "token_reviewer_jwt was not named, and a write replaces it: the reviewer's token that was stored is gone. " +
	"Each login now reviews itself with its own token, and is refused where its service account may not. " +
	"Name token_reviewer_jwt again, or, if it is to be so, confirm it with token_reviewer_jwt=\"\"; vault patch changes single fields."

// ruleRoleWarnings are what whoever writes the configuration should know of the role.
// named is whether the write names it.
func (b *backend) ruleRoleWarnings(ctx context.Context, s logical.Storage, c *config.Entry, named bool) []string {
	if c.BindingRuleRole == "" {
		return nil
	}
	r, err := b.roles.Get(ctx, s, role.Key(c.BindingRuleRole))
	switch problem := c.RuleRoleProblem(r); {
	case err != nil:
		return nil // that a role cannot be read now is no fault of the configuration's
	case problem != "":
		return []string{problem}
	case named && !r.StandsForRules():
		return []string{config.CanBeNamed(c.BindingRuleRole)}
	}
	return nil
}
