package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/pemtext"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/token"
	"vault-plugin-auth-kubernetes/internal/typo"
)

// Validate refuses what could never work, in the order and, where Vault
// refuses it as well, in the words of Vault.
func (c *Entry) Validate(podCA func() (string, error)) error {
	if c.Host == "" {
		return errors.New("no host provided")
	}
	if c.CACert != "" && !pemtext.HasCertificate(c.CACert) {
		return errors.New(NoCertificates) //nolint:staticcheck // Vault's wording
	}
	if _, err := token.ParseKeys(c.PEMKeys); err != nil {
		return err
	}
	if _, err := kube.ParseHost(c.Host); err != nil {
		return fmt.Errorf("kubernetes_host: %w", err)
	}
	if c.CACert == "" && !c.DisableLocalCAJWT {
		if _, err := podCA(); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w; Vault runs in no pod, so name the CA of the API server: kubernetes_ca_cert=@ca.crt, or disable_local_ca_jwt=true to go by the CAs of Vault's own system", err)
		} else if err != nil {
			return err
		}
	}
	return c.validateAdded()
}

// validateAdded refuses what could never work in the fields that Vault's own
// method does not have.
func (c *Entry) validateAdded() error {
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
	if err := errors.Join(c.Posture.Validate(), c.validateClientCertificate(), c.validateReviewerAccount(), c.validateRequests(), c.validateRules(), c.validateVerification()); err != nil {
		return err
	}
	if !c.MapNamespaces && (c.ConsulNamespacePrefix != "" || len(c.ConsulNamespaceOverrides) > 0) {
		return errors.New("consul_namespace_prefix and consul_namespace_overrides need map_namespaces=true; " +
			"to do without it, take back what is stored of them as well: consul_namespace_prefix=\"\" consul_namespace_overrides=\"\"")
	}
	return nil
}

// validateRequests checks how the API server is asked.
func (c *Entry) validateRequests() error {
	if c.RequestTimeout < 0 || c.RequestTimeout > maxRequestTimeout {
		return fmt.Errorf("request_timeout: it must be between 1s and %s, or 0 for the default", maxRequestTimeout)
	}
	if c.MaxConcurrentReviews < 0 || c.MaxConcurrentReviews > maxConcurrentLimit {
		return fmt.Errorf("max_concurrent_reviews: it must be between 1 and %d, or 0 for the default", maxConcurrentLimit)
	}
	if c.TokenReviewCacheTTL < 0 || c.TokenReviewCacheTTL > maxReviewCacheTTL {
		return fmt.Errorf("token_review_cache_ttl: it must be between 0 and %s", maxReviewCacheTTL)
	}
	if !slices.Contains([]string{"", RenewalCheckAccount, RenewalCheckPod, RenewalCheckNone}, c.RenewalCheck) {
		return fmt.Errorf("renewal_check: it must be %s, %s or %s", RenewalCheckAccount, RenewalCheckPod, RenewalCheckNone)
	}
	if c.TLSServerName != "" {
		if err := kube.CheckServerName(c.TLSServerName); err != nil {
			return err
		}
	}
	_, err := kube.ParseProxy(c.ProxyURL)
	return err
}

func isNotPrintable(r rune) bool { return !unicode.IsPrint(r) }

// maxRuleAudiences bounds what each review asks for.
const maxRuleAudiences = 32

// validateRules refuses what no login by rules could use.
func (c *Entry) validateRules() error {
	if len(c.BindingRuleAudiences) > maxRuleAudiences {
		return fmt.Errorf("binding_rule_audiences: more than %d", maxRuleAudiences)
	}
	for _, audience := range c.BindingRuleAudiences {
		if strings.TrimSpace(audience) == "" || len(audience) > maxClusterNameBytes || strings.ContainsFunc(audience, isNotPrintable) {
			return fmt.Errorf("binding_rule_audiences: one is empty, has more than %d bytes, or is not printable", maxClusterNameBytes)
		}
	}
	if name := c.BindingRuleRole; name != "" && (!role.IsName(name) || strings.Contains(name, "..")) {
		return errors.New("binding_rule_role: not the name of a role")
	}
	return nil
}

// CheckWrittenAudiences refuses audiences that were meant otherwise; those that are stored
// go on.
func (c *Entry) CheckWrittenAudiences(before *Entry) error {
	if before != nil && slices.Equal(c.BindingRuleAudiences, before.BindingRuleAudiences) {
		return nil
	}
	if reason := typo.Audiences(c.BindingRuleAudiences); reason != "" {
		return errors.New("binding_rule_audiences: " + reason)
	}
	return nil
}

// RuleRoleProblem says why no login by rules can pass binding_rule_role, or "" if
// nothing is known against it.
func (c *Entry) RuleRoleProblem(r *role.Role) string {
	switch name := c.BindingRuleRole; {
	case name == "":
		return ""
	case r == nil:
		return fmt.Sprintf("there is no role %q, which binding_rule_role names; logins by rules are refused until there is", name)
	case r.ReservedPolicy() != "":
		return fmt.Sprintf("the role %q, which binding_rule_role names, %s; so is each login by rules", name, role.PolicyRefused(r.ReservedPolicy()))
	case c.excludesAudiences(r.Entry):
		return fmt.Sprintf("binding_rule_audiences has none of the audiences %q of the role %q, which binding_rule_role names; logins by rules are refused", r.Audiences(), name)
	}
	return ""
}

// NamedRoleProblem says why no login that names a role with use_binding_rules can succeed,
// or "" if nothing is known against it.
func (c *Entry) NamedRoleProblem(r *role.Entry) string {
	if c == nil || !r.UseBindingRules || !c.excludesAudiences(r) {
		return ""
	}
	return fmt.Sprintf("it has use_binding_rules, and binding_rule_audiences has none of its audiences %q; logins that name it are refused", r.Audiences())
}

// excludesAudiences tells whether no token can be for an audience of the role and, as by
// rules it has to, for one of the mount's.
func (c *Entry) excludesAudiences(r *role.Entry) bool {
	return len(c.BindingRuleAudiences) > 0 && len(r.Audiences()) > 0 &&
		!slices.ContainsFunc(r.Audiences(), func(a string) bool { return slices.Contains(c.BindingRuleAudiences, a) })
}

// maxClusterNameBytes bounds cluster_name, which is in the metadata of every token.
const maxClusterNameBytes = 256
