package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/rules"
)

const (
	ruleListHelpSynopsis    = "Lists the binding rules of this mount."
	ruleListHelpDescription = `
With details, each name comes with the rule's selector, bind type and bind name.
`
	ruleHelpSynopsis    = "Grants something to every service account that a selector matches."
	ruleHelpDescription = `
A login that names no role gets what all matching binding rules grant together. A
rule for every service account has selector='*'; one that was created without naming
a selector is for every one as well, and each write of it warns. Bind types are policy,
role, group, service and node; in the bind name, ${serviceaccount.name} and the other
attributes stand for their values. What looks like a template of another program, and is
none here, is refused with the right form; so is a selector that is not in the language.

Rules of the bind types consul-service, consul-node, consul-role, consul-policy and
consul-templated-policy say what a Consul token gets, where consul/config says which
Consul; a login to Vault gets nothing by them, and a Consul token nothing by the others.

If a rule that matches computes a name that is not valid, the whole login fails. A
role that does not exist, or whose own bounds do not hold, is skipped.
`
)

func (b *backend) pathsRule() []*framework.Path {
	return []*framework.Path{
		{
			Pattern: rules.Prefix + "?",
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{Callback: b.ruleList},
			},
			DisplayAttrs: &framework.DisplayAttributes{
				OperationPrefix: operationPrefix,
				OperationSuffix: "auth-binding-rules",
				Navigation:      true,
				ItemType:        "Binding rule",
			},
			HelpSynopsis:    ruleListHelpSynopsis,
			HelpDescription: ruleListHelpDescription,
		},
		{
			Pattern:        rules.Prefix + framework.GenericNameRegex("name"),
			Fields:         ruleFields(),
			ExistenceCheck: b.ruleExists,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.CreateOperation: &framework.PathOperation{Callback: b.ruleWrite},
				logical.UpdateOperation: &framework.PathOperation{Callback: b.ruleWrite},
				logical.PatchOperation:  &framework.PathOperation{Callback: b.rulePatch},
				logical.ReadOperation:   &framework.PathOperation{Callback: b.ruleRead},
				logical.DeleteOperation: &framework.PathOperation{Callback: b.ruleDelete},
			},
			DisplayAttrs: &framework.DisplayAttributes{
				OperationPrefix: operationPrefix,
				OperationSuffix: "auth-binding-rule",
				ItemType:        "Binding rule",
				Action:          "Create",
			},
			HelpSynopsis:    ruleHelpSynopsis,
			HelpDescription: ruleHelpDescription,
		},
	}
}

func ruleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"name": {
			Type:        framework.TypeString,
			Description: "Name of the rule, of at most 256 bytes; upper and lower case are the same.",
		},
		"description": {
			Type:        framework.TypeString,
			Description: "What the rule is for, in at most 4096 bytes.",
		},
		"selector": {
			Type: framework.TypeString,
			Description: `Expression over the trusted attributes of a service account, such as
serviceaccount.namespace == "shop" and serviceaccount.name != "default". * matches
every service account; so does a rule without one. An empty value is refused.`,
		},
		"bind_type": {
			Type: framework.TypeString,
			Description: `What is granted: policy, role, group, service or node; to a Consul token
consul-service, consul-node, consul-role, consul-policy or consul-templated-policy. Required.`,
		},
		"bind_name": {
			Type: framework.TypeString,
			Description: `Name of what is granted, such as web or ${serviceaccount.namespace}-ro.
Other templates, and * in policies, are refused; ${"team-*"} is that very name.
Required.`,
		},
		"bind_vars": {
			Type: framework.TypeKVPairs,
			Description: `What a consul-templated-policy is made for, as name=…, with attributes as in
bind_name. Templates such as builtin/dns have none.`,
		},
		"use_service_name_annotation": {
			Type: framework.TypeBool,
			Description: `Let the annotation that service_name_annotation of the configuration names stand
in for serviceaccount.name in this rule, in selector and bind name. Whoever may
annotate a service account then chooses the name. Default false: the name is the
service account's own.`,
		},
	}
}

func (b *backend) ruleExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	r, err := rules.Read(ctx, req.Storage, data.Get("name").(string))
	return r != nil, err
}

func (b *backend) ruleList(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, rules.Prefix)
	if err != nil {
		return nil, err
	}
	rules, err := b.rules.Get(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	info := make(map[string]any, len(names))
	for _, name := range names {
		if rule, ok := rules.Get(name); ok {
			info[name] = map[string]any{
				"selector":  rule.Selector,
				"bind_type": string(rule.BindType),
				"bind_name": rule.BindName,

				"use_service_name_annotation": rule.UseServiceNameAnnotation,
			}
			if rule.BindVarName != "" { // of templated policies alone
				info[name].(map[string]any)["bind_vars"] = bindVars(rule.BindVarName)
			}
		}
	}
	return logical.ListResponseWithInfo(names, info), nil
}

func (b *backend) ruleRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	r, err := rules.Read(ctx, req.Storage, data.Get("name").(string))
	if err != nil || r == nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"description": r.Description,
		"selector":    r.Selector,
		"bind_type":   r.BindType,
		"bind_name":   r.BindName,
		"bind_vars":   bindVars(r.BindVarName),

		"use_service_name_annotation": r.UseServiceNameAnnotation,
		"imported_from":               r.ImportedFrom,
	}}, nil
}

func (b *backend) ruleDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	key := rules.Key(data.Get("name").(string))
	return b.change(ctx, req.Storage, []string{key}, func(s logical.Storage) (*logical.Response, error) {
		return nil, s.Delete(ctx, key)
	})
}

// ruleWrite creates a rule, or changes the fields that are named.
func (b *backend) ruleWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.ruleChange(ctx, req, data, req.Operation == logical.CreateOperation)
}

// rulePatch changes the fields that are named; null empties one.
func (b *backend) rulePatch(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.ruleChange(ctx, req, data, false)
}

func (b *backend) ruleChange(ctx context.Context, req *logical.Request, data *framework.FieldData, create bool) (*logical.Response, error) {
	key := rules.Key(data.Get("name").(string))
	return b.change(ctx, req.Storage, []string{key}, func(s logical.Storage) (*logical.Response, error) {
		return b.ruleMerge(ctx, s, req, data, create)
	})
}

// setRule takes over the fields that are named.
func setRule(r *rules.Entry, data *framework.FieldData, named func(field string) bool) (err error) {
	for field, target := range map[string]*string{
		"description": &r.Description,
		"selector":    &r.Selector,
		"bind_type":   &r.BindType,
		"bind_name":   &r.BindName,
	} {
		if named(field) {
			*target = data.Get(field).(string)
		}
	}
	if named("use_service_name_annotation") {
		r.UseServiceNameAnnotation = data.Get("use_service_name_annotation").(bool)
	}
	if named("bind_vars") {
		r.BindVarName, err = bindVarName(data.Get("bind_vars").(map[string]string))
	}
	return err
}

// ruleMerge changes the fields of a rule that are named.
func (b *backend) ruleMerge(ctx context.Context, s logical.Storage, req *logical.Request, data *framework.FieldData, create bool) (*logical.Response, error) {
	name := strings.ToLower(data.Get("name").(string))
	r, err := rules.Read(ctx, s, name)
	if err != nil {
		return nil, err
	}
	if response := refuseUnknown(req, data, r.OnlyRead()); response != nil {
		return response, nil
	}
	if r == nil && !create {
		return nil, logical.CodedError(404, fmt.Sprintf("there is no binding rule %q", name))
	}
	if r == nil {
		r = &rules.Entry{}
	}
	before, named := *r, patched(data)
	written := ""
	if named("description") {
		written = data.Get("description").(string)
	}
	if reason := rules.TooLong(name, written); reason != "" && (create || named("description")) {
		return logical.ErrorResponse(reason), nil
	}
	// A rule without a selector is read with an empty one, and can be written as it was read.
	saysItAgain := before.BindType != "" && before.Selector == ""
	if selector := data.Get("selector").(string); named("selector") && strings.TrimSpace(selector) == "" && !saysItAgain {
		return logical.ErrorResponse(emptySelector), nil
	}
	if err := setRule(r, data, named); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	if err := r.Validate(name, named("selector"), named("bind_name") || named("bind_type") || named("bind_vars")); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	warnings, err := b.ruleWarnings(ctx, s, name, r)
	if err != nil {
		return nil, err
	}
	if err := b.ruleStore(ctx, s, name, r); err != nil {
		return nil, err
	}
	for _, field := range emptyBooleans(req, data) {
		warnings = append(warnings, config.EmptyIsFalse(field))
	}
	return answerWrite(req, data, warnings, before.OnlyRead()), nil
}

// bindVars are the variables of a templated policy, of which there is one.
func bindVars(name string) map[string]string {
	if name == "" {
		return map[string]string{}
	}
	return map[string]string{"name": name}
}

func bindVarName(vars map[string]string) (name string, err error) {
	for key, value := range vars {
		if !strings.EqualFold(key, "name") || len(vars) > 1 {
			return "", errors.New("bind_vars: the only variable is name")
		}
		name = value
	}
	return name, nil
}

// emptySelector refuses a selector that is named and says nothing, which is what is
// left of a variable that was not set. A rule for everybody has to be meant.
const emptySelector = "selector: it is empty, and the rule would match every service account of the cluster; " +
	"if that is meant, selector='" + binding.Everything + "' says so"

func (b *backend) ruleStore(ctx context.Context, s logical.Storage, name string, r *rules.Entry) error {
	entry, err := logical.StorageEntryJSON(rules.Key(name), r)
	if err != nil {
		return err
	}
	return s.Put(ctx, entry)
}

// ruleWarnings tells the writer of a rule what it does not do yet, and what it does
// that may not be meant.
func (b *backend) ruleWarnings(ctx context.Context, s logical.Storage, name string, r *rules.Entry) ([]string, error) {
	compiled, err := binding.Compile(r.Rule(name))
	if err != nil {
		return nil, err
	}
	stored, err := s.Get(ctx, config.Path)
	if err != nil {
		return nil, err
	}
	config := config.Decoded(stored)
	var warnings []string
	for _, w := range compiled.Warnings(config.Setting()) {
		warnings = append(warnings, w.Text)
	}
	if r.UseServiceNameAnnotation && (config == nil || config.ServiceNameAnnotation == "") {
		warnings = append(warnings, "use_service_name_annotation has no effect until service_name_annotation of the configuration names the annotation; serviceaccount.name is the service account's own name until then.")
	}
	for _, problem := range []string{r.MissingRole(ctx, b.at(s)), r.RefusedRole(ctx, b.at(s))} {
		if problem != "" {
			warnings = append(warnings, problem)
		}
	}
	return warnings, nil
}
