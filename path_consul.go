package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/change"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

const (
	consulConfigHelpSynopsis    = "Says which Consul this mount makes ACL tokens in."
	consulConfigHelpDescription = `
With it, service accounts get Consul tokens as binding rules of the types consul-service,
consul-node, consul-role, consul-policy and consul-templated-policy say: by consul login
with CONSUL_HTTP_ADDR=…/v1/auth/MOUNT, or from consul/token/<auth_method>, with a lease.

A write changes the fields that it names and keeps the others. The plugin's own token
needs acl = "write"; it is stored and never returned, and consul/rotate replaces it. It
goes to no other server: where the address changes, the token has to be named as well.
`
	consulRotateHelpSynopsis    = "Replaces the plugin's own Consul token."
	consulRotateHelpDescription = `
Makes a new token that may do the same as the one in consul/config, stores it, and deletes
the old one. Where that ends half-way, whichever is stored works, and the next rotation
deletes what is left.
`
)

func (b *backend) pathsConsul() []*framework.Path {
	return []*framework.Path{
		{
			Pattern:        "consul/config$",
			Fields:         consulFields(),
			ExistenceCheck: b.consulConfigExists,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.CreateOperation: &framework.PathOperation{Callback: b.consulConfigWrite},
				logical.UpdateOperation: &framework.PathOperation{Callback: b.consulConfigWrite},
				logical.PatchOperation:  &framework.PathOperation{Callback: b.consulConfigPatch},
				logical.ReadOperation:   &framework.PathOperation{Callback: b.consulConfigRead},
				logical.DeleteOperation: &framework.PathOperation{Callback: b.consulConfigDelete},
			},
			DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "auth-consul-configuration"},
			HelpSynopsis:    consulConfigHelpSynopsis,
			HelpDescription: consulConfigHelpDescription,
		},
		{
			Pattern: "consul/rotate$",
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{Callback: b.consulRotate},
			},
			DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "rotate", OperationSuffix: "auth-consul-token"},
			HelpSynopsis:    consulRotateHelpSynopsis,
			HelpDescription: consulRotateHelpDescription,
		},
		b.pathConsulToken(),
		b.pathConsulLogin(),
		b.pathConsulLogout(),
	}
}

func consulFields() map[string]*framework.FieldSchema {
	text := func(description string) *framework.FieldSchema {
		return &framework.FieldSchema{Type: framework.TypeString, Description: description}
	}
	secret := func(description string) *framework.FieldSchema {
		return &framework.FieldSchema{Type: framework.TypeString, Description: description, DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}}
	}
	return map[string]*framework.FieldSchema{
		"address":         text("Consul's HTTP API: https://HOST:PORT, or http://, with a path if it is below one. Required."),
		"ca_cert":         text("PEM bundle of the certificates that may have signed Consul's; not set, the system's."),
		"client_cert":     text("PEM certificate that the plugin shows to Consul."),
		"client_key":      secret("PEM key of client_cert. Never returned."),
		"tls_server_name": text("Name that Consul's certificate must have, where it is not that of address."),
		"token":           secret(`SecretID of the plugin's own token, which needs acl = "write". Never returned. Required.`),
		"datacenter":      text("Datacenter that tokens are made in; not set, that of the server at address."),
		"namespace": text(`Namespace that tokens are made in, of Consul Enterprise alone, where the namespace of the
service account is not mapped to one. Naming it says that there are namespaces.`),
		"partition": text("Admin partition that tokens are made in, of Consul Enterprise alone."),
		"namespace_rules": {
			Type: framework.TypeSlice,
			Description: `Rules for the namespace of a token, of Consul Enterprise alone: a list of objects with
selector and bind_namespace, of which the first that matches counts. Without one it is
what map_namespaces of the configuration says.`,
		},
		"token_locality": text("local, the default: tokens are good in one datacenter. global: in all."),
		"max_token_ttl":  {Type: framework.TypeDurationSecond, Description: "How long tokens are good. Default 1h, at least 1m; Consul before 1.16 takes 24h at most."},
		"auth_method":    text("Name by which clients call for tokens: the -method of consul login. Default kubernetes."),
		"mount_accessor": text(`Accessor of this mount, as vault read -field=accessor sys/auth/MOUNT prints it. With it, who
has a Vault token of this mount may read consul/token without the pod's token: Vault does not tell
a mount its own accessor, and the entity of a token may be known to other mounts as well.`),
		"request_timeout": {Type: framework.TypeDurationSecond, Description: "Bound on each request to Consul. Whole seconds. Default 10s, at most 60s."},
	}
}

func (b *backend) consulConfigExists(ctx context.Context, req *logical.Request, _ *framework.FieldData) (bool, error) {
	entry, err := req.Storage.Get(ctx, consultoken.Path)
	return entry != nil, err
}

func (b *backend) consulConfigRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	entry, err := consultoken.Read(ctx, req.Storage)
	if err != nil || entry == nil {
		return nil, err
	}
	return &logical.Response{Data: entry.Data()}, nil
}

func (b *backend) consulConfigDelete(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return b.change(ctx, req.Storage, []string{consultoken.Path}, func(s logical.Storage) (*logical.Response, error) {
		return nil, s.Delete(ctx, consultoken.Path)
	})
}

func (b *backend) consulConfigWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.consulConfigChange(ctx, req, data, true)
}

func (b *backend) consulConfigPatch(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.consulConfigChange(ctx, req, data, false)
}

// consulConfigChange changes the fields that are named; null takes one back to its default.
func (b *backend) consulConfigChange(ctx context.Context, req *logical.Request, data *framework.FieldData, create bool) (*logical.Response, error) {
	return b.change(ctx, req.Storage, []string{consultoken.Path}, func(s logical.Storage) (*logical.Response, error) {
		before, err := consultoken.Read(ctx, s)
		if err != nil {
			return nil, err
		}
		if response := refuseUnknown(req, data, before.OnlyRead()); response != nil {
			return response, nil
		}
		if before == nil && !create {
			return nil, logical.CodedError(404, "there is no configuration of Consul to patch; write one")
		}
		entry, err := changedConsul(before, data)
		if err != nil {
			return logical.ErrorResponse(err.Error()), nil
		}
		if err := storeConsul(ctx, s, entry); err != nil {
			return nil, err
		}
		return answerWrite(req, data, entry.Warnings(), before.OnlyRead()), nil
	})
}

// changedConsul is an entry with the fields that data names.
func changedConsul(before *consultoken.Entry, data *framework.FieldData) (*consultoken.Entry, error) {
	entry := &consultoken.Entry{}
	if before != nil {
		*entry = *before
	}
	named := patched(data)
	for field, target := range entry.Fields() {
		if !named(field) {
			continue
		}
		switch target := target.(type) {
		case *string:
			*target = data.Get(field).(string)
		case *time.Duration:
			*target = time.Duration(data.Get(field).(int)) * time.Second
		}
	}
	if named("namespace_rules") {
		var err error
		if entry.NamespaceRules, err = namespaceRules(data.Raw["namespace_rules"]); err != nil {
			return nil, err
		}
	}
	if err := entry.TakeOver(before, named("token")); err != nil {
		return nil, err
	}
	return entry, entry.Validate()
}

var errNamespaceRules = errors.New(`namespace_rules: a list of objects with selector and bind_namespace, such as [{"selector": "serviceaccount.namespace == \"shop\"", "bind_namespace": "shop"}]`)

// namespaceRules reads the rules, which the vault command sends as the text of a file.
func namespaceRules(raw any) ([]binding.NamespaceRule, error) {
	text, isText := raw.(string)
	if raw == nil || isText && text == "" {
		return nil, nil
	}
	document := []byte(text)
	if !isText {
		var err error
		if document, err = json.Marshal(raw); err != nil {
			return nil, errNamespaceRules
		}
	}
	var objects []map[string]string
	if json.Unmarshal(document, &objects) != nil {
		return nil, errNamespaceRules
	}
	var rules []binding.NamespaceRule
	for _, object := range objects {
		for key := range object {
			if key != "selector" && key != "bind_namespace" {
				return nil, fmt.Errorf("%w; there is no %.64q", errNamespaceRules, key)
			}
		}
		rules = append(rules, binding.NamespaceRule{Selector: object["selector"], BindNamespace: object["bind_namespace"]})
	}
	return rules, nil
}

func storeConsul(ctx context.Context, s logical.Storage, entry *consultoken.Entry) error {
	stored, err := logical.StorageEntryJSON(consultoken.Path, entry)
	if err != nil {
		return err
	}
	return s.Put(ctx, stored)
}

func (b *backend) consulRotate(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return b.change(ctx, req.Storage, []string{consultoken.Path}, func(s logical.Storage) (*logical.Response, error) {
		mint, err := b.consul.Get(ctx, s)
		if err != nil {
			return nil, err
		}
		if mint == nil {
			return nil, logical.CodedError(404, noConsul)
		}
		// Whoever asked may go away; a rotation is not left half-way for that.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), change.StoreTimeout)
		defer cancel()
		err = consultoken.Rotate(ctx, mint, func(e *consultoken.Entry) error { return storeConsul(ctx, s, e) })
		if err == nil {
			return nil, nil
		}
		b.Logger().Warn("the plugin's own Consul token was not replaced", "mount", req.MountPoint, "reason", err)
		var r *refusal.Refusal
		if errors.As(consultoken.Refusal(err), &r) {
			return nil, logical.CodedError(503, err.Error()+"; "+r.Remedy)
		}
		return nil, err
	})
}

// noConsul is for operators.
const noConsul = "the mount has no Consul; write consul/config"
