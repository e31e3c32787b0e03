package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/consul"
	"vault-plugin-auth-kubernetes/internal/importer"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

const importPath = "import/consul"

const (
	importHelpSynopsis    = "Takes over a Kubernetes auth method of Consul, with its binding rules."
	importHelpDescription = `
Send what consul acl auth-method read -format=json and consul acl binding-rule list
-format=json print: as text, or, over HTTP, as the JSON that it is. With
dry_run=true the answer says what would be written, and nothing is.

The rules give Consul tokens, as they did; consul/config says which Consul, and the answer
which of its settings are those of the auth method. With tokens=vault they become rules for
Vault tokens: policies and roles of Vault's, and metadata; a role with the name of the auth
method comes along, with use_binding_rules, for clients that have to name one.

Configuration, rules and role are written all or none. If a rule cannot be taken over, or
the import would change what the mount's other rules mean, the answer is a 400 that
says so of each, and nothing is written. What has no counterpart here and is no rule
is named in the answer, a line each.

A field that is named and empty, such as dry_run= of a variable that was not set, is a
400, and so is a key in the documents that Consul does not print there.

An import can be done again: rules that an earlier one brought and that Consul has no
more are listed, and deleted with remove_missing=true.
`
)

func (b *backend) pathImportConsul() *framework.Path {
	return &framework.Path{
		Pattern: importPath + "$",
		Fields:  importFields(),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{Callback: b.importConsul},
		},
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix,
			OperationVerb:   "import",
			OperationSuffix: "consul-auth-method",
		},
		HelpSynopsis:    importHelpSynopsis,
		HelpDescription: importHelpDescription,
	}
}

// documentsAsSent makes text of the two documents where they were sent as the JSON that
// they are. The framework knows no field that takes both, and its refusal repeats the
// reviewer's token.
func documentsAsSent(req *logical.Request) {
	if req.Path != importPath {
		return
	}
	for field, value := range req.Data {
		switch value := value.(type) {
		case string:
			if strings.TrimSpace(value) == "" {
				req.Data[field] = "" // refused with the right form, and not by a parser
			}
		case map[string]any, []any:
			if field != "auth_method" && field != "binding_rules" {
				continue
			}
			if text, err := json.Marshal(value); err == nil { // it came as JSON
				req.Data[field] = string(text)
			}
		}
	}
}

func importFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"auth_method": {
			Type:        framework.TypeString,
			Description: "Output of consul acl auth-method read -format=json, as text or as the JSON object. Required.",
		},
		"binding_rules": {
			Type:        framework.TypeString,
			Description: "Output of consul acl binding-rule list -format=json, as text or as the JSON list. Required.",
		},
		"tokens": {
			Type:    framework.TypeString,
			Default: string(consul.ConsulTokens),
			Description: `What the rules give: consul, the default, for Consul tokens, or vault, for Vault
tokens.`,
		},
		"dry_run": {
			Type:        framework.TypeBool,
			Description: "Say what would be written, and write nothing.",
		},
		"skip_unsupported_rules": {
			Type:        framework.TypeBool,
			Description: "Take over the other rules where some cannot be. Without it, one such rule and nothing is written.",
		},
		"remove_missing": {
			Type: framework.TypeBool,
			Description: `Delete the rules that an earlier import of this auth method brought and that
binding_rules has no more. Only for a list that is whole.`,
		},
		"replace_configuration": {
			Type: framework.TypeBool,
			Description: `Overwrite the configuration of a mount that is for another kubernetes_host, or maps
namespaces to Consul in another way.`,
		},
		"policy_prefix": {
			Type: framework.TypeString,
			Description: `What is put before the names of policies, so that a policy of Consul's does not
become the one of Vault's that happens to have its name.`,
		},
		"role_prefix": {
			Type:        framework.TypeString,
			Description: "What is put before the names of roles.",
		},
	}
}

// importEmpty says what to write in place of a prefix that is empty: names without it may
// be those of policies and roles that are somebody's already.
var importEmpty = map[string]string{
	"tokens":        "write tokens=consul or tokens=vault, or leave it out for consul",
	"policy_prefix": "leave it out to keep the names of policies",
	"role_prefix":   "leave it out to keep the names of roles",
}

func importOptionsOf(data *framework.FieldData) importer.Options {
	return importer.Options{
		DryRun:               data.Get("dry_run").(bool),
		SkipUnsupported:      data.Get("skip_unsupported_rules").(bool),
		RemoveMissing:        data.Get("remove_missing").(bool),
		ReplaceConfiguration: data.Get("replace_configuration").(bool),
		PolicyPrefix:         data.Get("policy_prefix").(string),
		RolePrefix:           data.Get("role_prefix").(string),
	}
}

func (b *backend) importConsul(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	if response := refuseUnknown(req, data, nil); response != nil {
		return response, nil
	}
	if response := refuseEmpty(req, data, importEmpty); response != nil {
		return response, nil
	}
	for _, field := range []string{"auth_method", "binding_rules"} {
		if data.Get(field).(string) == "" {
			return respond(refusal.Missing(field))
		}
	}
	tokens := consul.Tokens(data.Get("tokens").(string))
	switch prefixed := data.Get("policy_prefix").(string) + data.Get("role_prefix").(string); {
	case tokens != consul.ConsulTokens && tokens != consul.VaultTokens:
		return logical.ErrorResponse("tokens: it must be consul, where rules are to give Consul tokens, or vault"), nil
	case tokens == consul.ConsulTokens && prefixed != "":
		return logical.ErrorResponse("policy_prefix and role_prefix are for tokens=vault; what Consul tokens get has its names in Consul"), nil
	}
	imported, err := consul.Read([]byte(data.Get("auth_method").(string)), []byte(data.Get("binding_rules").(string)), tokens)
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	if imported.Method == "" {
		return logical.ErrorResponse("auth_method: it has no Name"), nil
	}
	options := importOptionsOf(data)
	plan, err := importer.Run(ctx, b.importedInto(req.Storage), imported, options)
	var refused importer.Refusal
	switch {
	case errors.As(err, &refused):
		return logical.ErrorResponse(refused.Error()), nil
	case err != nil:
		return nil, err
	}
	return &logical.Response{Data: importAnswer(plan, imported, options), Warnings: plan.Warnings()}, nil
}

// importAnswer has a key of its own for whatever has spaces: the vault command prints a map
// or a list within an answer as one line, in which nobody sees where a text ends.
func importAnswer(plan *importer.Plan, imported *consul.Import, options importer.Options) map[string]any {
	data := map[string]any{
		"dry_run":           options.DryRun,
		"role":              plan.Role,
		"rules":             len(plan.Rules),
		"not_carried_over":  len(plan.Left),
		"consul_config":     nonNil(imported.Settings),
		"missing_in_consul": plan.Missing,
	}
	for field, value := range plan.Config.Data() {
		data["config/"+field] = value
	}
	for name, what := range plan.Rules {
		data["rules/"+name] = what
	}
	digits := len(strconv.Itoa(len(plan.Left)))
	for i, what := range plan.Left {
		data[fmt.Sprintf("not_carried_over/%0*d", digits, i+1)] = what
	}
	return data
}

// importedInto is the mount as an import knows it.
func (b *backend) importedInto(s logical.Storage) *importer.Mount {
	return &importer.Mount{Storage: s, Rules: b.rules, Roles: b.at(s), PodCA: b.podCA.Read, Change: b.changes.Do}
}

// nonNil is a list that is there.
func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
