package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"k8s.io/apimachinery/pkg/util/validation"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/token"
)

const (
	configHelpSynopsis    = "Says which Kubernetes cluster this mount trusts, and how to ask it."
	configHelpDescription = `
Every login makes one request to the TokenReview API of the cluster that is
configured here. As in Vault's own method, a write replaces the fields that this has:
those that it does not name get their defaults, and the reviewer's token is gone
unless it is named. Fields that Vault's own method does not have stay as they are
until a write names them; an empty value resets one. A patch changes only the fields
that it names. The reviewer's token is stored and never returned, nor is the password
of proxy_url: it is read as xxxxx, and what was read can be written back.

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
	config, err := readConfig(ctx, req.Storage)
	if err != nil || config == nil {
		return nil, err
	}
	return &logical.Response{Data: config.responseData()}, nil
}

// responseData is what reading the configuration returns: every field but the reviewer's
// token, and where nothing was set, the default that counts.
func (c *configEntry) responseData() map[string]any {
	data := map[string]any{"token_reviewer_jwt_set": c.TokenReviewerJWT != ""}
	shown := *c
	shown.RequestTimeout = c.requestTimeout()
	shown.MaxConcurrentReviews = cmp.Or(c.MaxConcurrentReviews, kube.DefaultMaxConcurrent)
	shown.RenewalCheck = cmp.Or(c.RenewalCheck, renewalCheckAccount)
	if shown.ConsulNamespaceOverrides == nil {
		shown.ConsulNamespaceOverrides = map[string]string{}
	}
	if shown.BindingRuleAudiences == nil {
		shown.BindingRuleAudiences = []string{}
	}
	for field, target := range shown.fields() {
		if field == "token_reviewer_jwt" {
			continue
		}
		data[field] = reflect.ValueOf(target).Elem().Interface()
		if duration, ok := data[field].(time.Duration); ok {
			data[field] = int64(duration.Seconds())
		}
	}
	if c.ProxyURL != "" {
		data["proxy_url"] = shownProxy(c.ProxyURL)
	}
	return data
}

// configWrite replaces what Vault's own method has of the configuration: fields that are
// not named get their defaults. The others stay as they are unless they are named:
// whoever writes Vault's fields, such as Terraform, knows of no more, and must not switch
// require_audience off by it.
func (b *backend) configWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.change(ctx, req.Storage, []string{configPath}, func(s logical.Storage) (*logical.Response, error) {
		return b.configReplace(ctx, s, req, data)
	})
}

func (b *backend) configReplace(ctx context.Context, s logical.Storage, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	before, err := s.Get(ctx, configPath)
	if err != nil {
		return nil, err
	}
	stored, config := decodedConfig(before), &configEntry{}
	if stored != nil {
		*config = *stored
	}
	_, namesReviewer := data.Raw["token_reviewer_jwt"]
	config.set(data, overwritten(data))
	if err := config.keepProxySecret(stored); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	advice, err := config.takeTexts(stored, data)
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	config.settleIssuer(stored)
	config.settleReviewer(stored, namesReviewer)
	warnings := adviceOnHost(advice)
	if lost := config.lostFrom(stored, data.Raw); len(lost) > 0 {
		warnings = append(warnings, fmt.Sprintf("A write replaces what it does not name: now at their defaults are %s. vault patch changes single fields.", strings.Join(lost, ", ")))
	}
	return b.configStore(ctx, s, req, data, config, warnings...)
}

// decodedConfig is a stored configuration; nil if there is none, or it cannot be read,
// which must not keep a new one from being written.
func decodedConfig(entry *logical.StorageEntry) *configEntry {
	config := &configEntry{}
	if entry == nil || entry.DecodeJSON(config) != nil {
		return nil
	}
	return config
}

// configPatch changes the fields that are named; null means the default.
func (b *backend) configPatch(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	if response := refuseUnknown(req, data); response != nil {
		return response, nil
	}
	return b.change(ctx, req.Storage, []string{configPath}, func(s logical.Storage) (*logical.Response, error) {
		return b.configMerge(ctx, s, req, data)
	})
}

// configMerge changes the fields that are named.
func (b *backend) configMerge(ctx context.Context, s logical.Storage, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	config, err := readConfig(ctx, s)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, logical.CodedError(404, "there is no configuration to patch; write one")
	}
	before, named := *config, patched(data)
	config.set(data, named)
	if err := config.keepProxySecret(&before); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	advice, err := config.takeTexts(&before, data)
	if err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	config.settleIssuer(&before)
	config.settleReviewer(&before, named("token_reviewer_jwt"))
	return b.configStore(ctx, s, req, data, config, adviceOnHost(advice)...)
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
	return b.change(ctx, req.Storage, []string{configPath}, func(s logical.Storage) (*logical.Response, error) {
		return nil, s.Delete(ctx, configPath)
	})
}

// fields maps the fields of the path to those of the entry.
func (c *configEntry) fields() map[string]any {
	return map[string]any{
		"kubernetes_host":                   &c.Host,
		"kubernetes_ca_cert":                &c.CACert,
		"token_reviewer_jwt":                &c.TokenReviewerJWT,
		"pem_keys":                          &c.PEMKeys,
		"issuer":                            &c.Issuer,
		"disable_iss_validation":            &c.DisableISSValidation,
		"disable_local_ca_jwt":              &c.DisableLocalCAJWT,
		"use_annotations_as_alias_metadata": &c.UseAnnotationsAsAliasMetadata,
		"require_audience":                  &c.RequireAudience,
		"cluster_name":                      &c.ClusterName,
		"service_name_annotation":           &c.ServiceNameAnnotation,
		"map_namespaces":                    &c.MapNamespaces,
		"consul_namespace_prefix":           &c.ConsulNamespacePrefix,
		"consul_namespace_overrides":        &c.ConsulNamespaceOverrides,
		"request_timeout":                   &c.RequestTimeout,
		"max_concurrent_reviews":            &c.MaxConcurrentReviews,
		"renewal_check":                     &c.RenewalCheck,
		"tls_server_name":                   &c.TLSServerName,
		"proxy_url":                         &c.ProxyURL,
		"verify_with_cluster_keys":          &c.VerifyWithClusterKeys,
		"token_review_cache_ttl":            &c.TokenReviewCacheTTL,
		"binding_rule_audiences":            &c.BindingRuleAudiences,
		"binding_rule_role":                 &c.BindingRuleRole,
	}
}

// set takes over the fields that are named, or their defaults where data has no
// value for them.
func (c *configEntry) set(data *framework.FieldData, named func(field string) bool) {
	for field, target := range c.fields() {
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

// configStore validates and writes a configuration.
func (b *backend) configStore(
	ctx context.Context, s logical.Storage, req *logical.Request, data *framework.FieldData, config *configEntry, warnings ...string,
) (*logical.Response, error) {
	if err := b.validateConfig(config); err != nil {
		return logical.ErrorResponse(err.Error()), nil
	}
	if b.reviewerCredential(config)() != "" {
		config.ReviewerDropped = false // the files of a pod serve
	}
	entry, err := logical.StorageEntryJSON(configPath, config)
	if err != nil {
		return nil, err
	}
	if err := s.Put(ctx, entry); err != nil {
		return nil, err
	}
	if config.ReviewerDropped {
		b.Logger().Warn("the configuration was written without token_reviewer_jwt, and the reviewer's token that was stored is gone",
			"mount", req.MountPoint, "remedy", "write it again with token_reviewer_jwt, or confirm with token_reviewer_jwt=\"\"")
		warnings = append(warnings, reviewerDropped)
	}
	if config.EnforcesDefaultIssuer {
		// In the log, and not in the response: there Vault's own method says nothing.
		b.Logger().Warn("issuers are validated and none is named, so only tokens with the default issuer can log in, which those of pods do not have",
			"issuer", defaultIssuer, "remedy", "name the cluster's issuer, or set disable_iss_validation=true")
	}
	warnings = append(warnings, b.ruleRoleWarnings(ctx, s, config)...)
	return answerWrite(req, data, warnings), nil
}

// validateConfig refuses what could never work, in the order and, where Vault
// refuses it as well, in the words of Vault.
func (b *backend) validateConfig(config *configEntry) error {
	if config.Host == "" {
		return errors.New("no host provided")
	}
	if config.CACert != "" && !hasCertificate(config.CACert) {
		return errors.New(noCertificates) //nolint:staticcheck // Vault's wording
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
	return config.validateAdded()
}

// validateAdded refuses what could never work in the fields that Vault's own
// method does not have.
func (c *configEntry) validateAdded() error {
	if len(c.ClusterName) > maxClusterNameBytes || strings.ContainsFunc(c.ClusterName, isNotPrintable) {
		return fmt.Errorf("cluster_name: more than %d bytes, or not printable", maxClusterNameBytes)
	}
	if strings.ContainsAny(c.ClusterName, "+*") {
		return errors.New("cluster_name: + and * are wildcards in the paths of policies, and templated policies may be built on it")
	}
	if c.ServiceNameAnnotation != "" {
		if problems := validation.IsQualifiedName(c.ServiceNameAnnotation); len(problems) > 0 {
			return fmt.Errorf("service_name_annotation: not the key of an annotation: %s", strings.Join(problems, "; "))
		}
	}
	for _, name := range append(slices.Collect(maps.Values(c.ConsulNamespaceOverrides)), c.ConsulNamespacePrefix) {
		if len(name) > maxClusterNameBytes || strings.ContainsFunc(name, isNotPrintable) {
			return fmt.Errorf("consul_namespace_prefix, consul_namespace_overrides: more than %d bytes, or not printable", maxClusterNameBytes)
		}
		if strings.ContainsAny(name, "+*") {
			return errors.New("consul_namespace_prefix, consul_namespace_overrides: + and * are wildcards in the paths of policies, and templated policies may be built on them")
		}
	}
	if err := errors.Join(c.validateRequests(), c.validateRules()); err != nil {
		return err
	}
	if !c.MapNamespaces && (c.ConsulNamespacePrefix != "" || len(c.ConsulNamespaceOverrides) > 0) {
		return errors.New("consul_namespace_prefix and consul_namespace_overrides need map_namespaces=true; " +
			"to do without it, take back what is stored of them as well: consul_namespace_prefix=\"\" consul_namespace_overrides=\"\"")
	}
	return nil
}

// validateRequests checks how the API server is asked.
func (c *configEntry) validateRequests() error {
	if c.RequestTimeout < 0 || c.RequestTimeout > maxRequestTimeout {
		return fmt.Errorf("request_timeout: it must be between 1s and %s, or 0 for the default", maxRequestTimeout)
	}
	if c.MaxConcurrentReviews < 0 || c.MaxConcurrentReviews > maxConcurrentLimit {
		return fmt.Errorf("max_concurrent_reviews: it must be between 1 and %d, or 0 for the default", maxConcurrentLimit)
	}
	if c.TokenReviewCacheTTL < 0 || c.TokenReviewCacheTTL > maxReviewCacheTTL {
		return fmt.Errorf("token_review_cache_ttl: it must be between 0 and %s", maxReviewCacheTTL)
	}
	if !slices.Contains([]string{"", renewalCheckAccount, renewalCheckNone}, c.RenewalCheck) {
		return fmt.Errorf("renewal_check: it must be %s or %s", renewalCheckAccount, renewalCheckNone)
	}
	if c.TLSServerName != "" {
		if err := validServerName(c.TLSServerName); err != nil {
			return err
		}
	}
	_, err := parseProxy(c.ProxyURL)
	return err
}

func validServerName(name string) error {
	if len(validation.IsDNS1123Subdomain(name)) > 0 && net.ParseIP(name) == nil {
		return errors.New("tls_server_name: not a host name or address")
	}
	return nil
}

func isNotPrintable(r rune) bool { return !unicode.IsPrint(r) }
