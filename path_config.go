package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/token"
)

const (
	configHelpSynopsis    = "Says which Kubernetes cluster this mount trusts, and how to ask it."
	configHelpDescription = `
Every login makes one request to the TokenReview API of the cluster that is
configured here. A write replaces the whole configuration; a patch changes only
the fields that it names. The reviewer's token is stored and never returned.

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

func configFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"kubernetes_host": {
			Type: framework.TypeString,
			Description: `The Kubernetes API server: a host, a host:port pair, an IPv6 literal, or the
URL of its base. Without a scheme it is https.`,
		},
		"kubernetes_ca_cert": {
			Type: framework.TypeString,
			Description: `PEM bundle of the certificates that may have signed the API server's. If it is
not set, the CA bundle of the pod that Vault runs in, or, with
disable_local_ca_jwt, the system's.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Kubernetes CA Certificate"},
		},
		"token_reviewer_jwt": {
			Type: framework.TypeString,
			Description: `Bearer token for the TokenReview API. If it is not set, the token of the pod that
Vault runs in; without one, or with disable_local_ca_jwt, the token of each login
is used to review itself. Never returned.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Token Reviewer JWT"},
		},
		"pem_keys": {
			Type: framework.TypeCommaStringSlice,
			Description: `Public keys or certificates in PEM form, RSA or ECDSA. If there are any, a token
that none of them signed is refused before the API server is asked.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Service account verification keys"},
		},
		"issuer": {
			Type:       framework.TypeString,
			Deprecated: true,
			Description: `The issuer that tokens must have if disable_iss_validation is false; not set, it
is kubernetes/serviceaccount. (Deprecated: the API server checks the issuer.)`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "JWT Issuer"},
		},
		"disable_iss_validation": {
			Type:         framework.TypeBool,
			Deprecated:   true,
			Default:      true,
			Description:  `Leave the check of the issuer to the API server. (Deprecated)`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Disable JWT Issuer Validation"},
		},
		"disable_local_ca_jwt": {
			Type:         framework.TypeBool,
			Default:      false,
			Description:  `Never use the CA bundle and the token of the pod that Vault runs in.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Disable use of local CA and service account JWT"},
		},
		"use_annotations_as_alias_metadata": {
			Type:    framework.TypeBool,
			Default: false,
			Description: `Copy annotations of the service account that begin with
vault.hashicorp.com/alias-metadata- to the metadata of the entity alias. The
reviewer then needs permission to get service accounts.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Use annotations of JWT service account as alias metadata"},
		},
	}
}

func (b *backend) configRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	config, err := readConfig(ctx, req.Storage)
	if err != nil || config == nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"kubernetes_host":                   config.Host,
		"kubernetes_ca_cert":                config.CACert,
		"token_reviewer_jwt_set":            config.TokenReviewerJWT != "",
		"pem_keys":                          config.PEMKeys,
		"issuer":                            config.Issuer,
		"disable_iss_validation":            config.DisableISSValidation,
		"disable_local_ca_jwt":              config.DisableLocalCAJWT,
		"use_annotations_as_alias_metadata": config.UseAnnotationsAsAliasMetadata,
	}}, nil
}

// configWrite replaces the configuration: fields that are not named get their
// defaults.
func (b *backend) configWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	b.writes.Lock()
	defer b.writes.Unlock()

	config := &configEntry{}
	config.set(data, func(string) bool { return true })
	return b.configStore(ctx, req.Storage, config)
}

// configPatch changes the fields that are named; null means the default.
func (b *backend) configPatch(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	b.writes.Lock()
	defer b.writes.Unlock()

	config, err := readConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, logical.CodedError(404, "there is no configuration to patch; write one")
	}
	config.set(data, patched(data))
	return b.configStore(ctx, req.Storage, config)
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
	if err := req.Storage.Delete(ctx, configPath); err != nil {
		return nil, err
	}
	b.dropConnection()
	return nil, nil
}

// set takes over the fields that are named, or their defaults where data has no
// value for them.
func (c *configEntry) set(data *framework.FieldData, named func(field string) bool) {
	for field, target := range map[string]any{
		"kubernetes_host":                   &c.Host,
		"kubernetes_ca_cert":                &c.CACert,
		"token_reviewer_jwt":                &c.TokenReviewerJWT,
		"pem_keys":                          &c.PEMKeys,
		"issuer":                            &c.Issuer,
		"disable_iss_validation":            &c.DisableISSValidation,
		"disable_local_ca_jwt":              &c.DisableLocalCAJWT,
		"use_annotations_as_alias_metadata": &c.UseAnnotationsAsAliasMetadata,
	} {
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
		}
	}
}

// configStore validates and writes a configuration.
func (b *backend) configStore(ctx context.Context, s logical.Storage, config *configEntry) (*logical.Response, error) {
	if err := b.validateConfig(config); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	entry, err := logical.StorageEntryJSON(configPath, config)
	if err != nil {
		return nil, err
	}
	if err := s.Put(ctx, entry); err != nil {
		return nil, err
	}
	b.dropConnection()
	return nil, nil
}

// validateConfig refuses what could never work, in the order and, where Vault
// refuses it as well, in the words of Vault.
func (b *backend) validateConfig(config *configEntry) error {
	if config.Host == "" {
		return errors.New("no host provided")
	}
	if config.CACert != "" && !hasCertificate(config.CACert) {
		return errors.New("The provided CA PEM data contains no valid certificates") //nolint:staticcheck // Vault's wording
	}
	if _, err := token.ParseKeys(config.PEMKeys); err != nil {
		return err
	}
	if _, err := kube.ParseHost(config.Host); err != nil {
		return fmt.Errorf("kubernetes_host: %w", err)
	}
	if config.CACert == "" && !config.DisableLocalCAJWT {
		if _, err := b.podCA.Read(); err != nil {
			return err
		}
	}
	return nil
}
