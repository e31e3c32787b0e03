package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

// maxEmptiedBytes bounds what a warning repeats of a setting that is gone.
const maxEmptiedBytes = 300

// EmptiedFrom says which settings that narrow who may log in, or whom Vault believes, went
// by an empty value, and what they were. An empty value may be what is left of a variable
// that was not set; a plain false is meant. What is read back and written as it was says
// nothing, since nothing goes. before is nil if there was no configuration.
func (c *Entry) EmptiedFrom(before *Entry, emptied func(field string) bool) []string {
	if before == nil {
		return nil
	}
	var lines []string
	say := func(field string, isGone bool, format string, args ...any) {
		if isGone && emptied(field) {
			lines = append(lines, field+" was named with an empty value: "+fmt.Sprintf(format, args...))
		}
	}
	say("binding_rule_audiences", len(before.BindingRuleAudiences) > 0 && len(c.BindingRuleAudiences) == 0,
		"a login by the binding rules is no longer asked for one of the audiences %s.", bounded(strings.Join(before.BindingRuleAudiences, ", ")))
	say("binding_rule_role", before.BindingRuleRole != "" && c.BindingRuleRole == "",
		"logins by the binding rules no longer go through the role %q, its bounds and its limits.", bounded(before.BindingRuleRole))
	say(clientCertField, before.HasClientCertificate() && !c.HasClientCertificate(),
		"the client certificate that was stored is gone, and the API server no longer knows the reviewer by it.")
	say(reviewerAccountField, before.MakesReviewerTokens() && !c.MakesReviewerTokens(),
		"the reviewer's token is no longer replaced, and the one that was stored of %s is gone.", before.ReviewerAccount)
	say("issuer", strings.TrimSpace(before.Issuer) != "" && strings.TrimSpace(c.Issuer) == "",
		"before, it was %s.%s", bounded(before.Issuer), c.issuerNow())
	say("kubernetes_ca_cert", before.CACert != "" && c.CACert == "",
		"the certificates that were stored are gone, and the API server's is checked against %s.", c.systemOrPod())
	say("pem_keys", len(before.PEMKeys) > 0 && len(c.PEMKeys) == 0,
		"the %d keys that were stored are gone, and signatures are no longer checked with them.", len(before.PEMKeys))
	say("require_audience", before.RequireAudience && !c.RequireAudience,
		"roles without an audience are taken again, and can be used; before, they were refused.")
	say("tls_server_name", before.TLSServerName != "" && c.TLSServerName == "",
		"the API server's certificate must have the name in kubernetes_host; before, %s.", bounded(before.TLSServerName))
	after, was := c.Fields(), before.Fields()
	for _, field := range AddedFields() {
		if slices.Contains(saidOfEach, field) {
			continue
		}
		is, had := reflect.ValueOf(after[field]).Elem(), reflect.ValueOf(was[field]).Elem()
		shown := fmt.Sprint(had)
		switch field {
		case "proxy_url":
			shown = kube.ShownProxy(before.ProxyURL)
		case "consul_namespace_overrides":
			shown = pairs(before.ConsulNamespaceOverrides)
		}
		say(field, had.Kind() != reflect.Bool && fmt.Sprint(is) != fmt.Sprint(had), "now it is at its default; before, it was %s.", bounded(shown))
	}
	return lines
}

// saidOfEach are the added settings of which EmptiedFrom says what their loss means.
var saidOfEach = []string{reviewerAccountField, clientCertField, clientKeyField, "binding_rule_audiences", "binding_rule_role", "require_audience", "tls_server_name"}

// pairs is a map as the command line has it.
func pairs(of map[string]string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(of)) {
		words = append(words, key+"="+of[key])
	}
	return strings.Join(words, ", ")
}

func bounded(text string) string { return scrub.Bounded(text, maxEmptiedBytes) }

func (c *Entry) systemOrPod() string {
	if c.DisableLocalCAJWT {
		return "those of the system that Vault runs on"
	}
	return "those of the pod that Vault runs in"
}

// issuerNow is what counts of issuers where none is named, as a sentence or nothing.
func (c *Entry) issuerNow() string {
	if c.EnforcesDefaultIssuer {
		return " Now only tokens of the issuer " + DefaultIssuer + " can log in, which those of pods do not have."
	}
	if c.LeavesIssuerOpen() {
		return " No issuer is named, so none is checked."
	}
	return ""
}

// ReadAsFalse are the boolean fields that were named with an empty text, which empty has. A
// write reads null so too where the field is one of Vault's own; of these only one has another
// default. data is what was sent.
func (c *Entry) ReadAsFalse(before *Entry, data map[string]any, empty []string) []string {
	const field = "disable_iss_validation"
	wasTrue := before == nil || before.DisableISSValidation
	if sent, named := data[field]; named && sent == nil && wasTrue && !c.DisableISSValidation {
		empty = append(empty, field)
	}
	return empty
}

// EmptyBooleansAs says how boolean fields that were named with an empty text were read; of
// those whose loss EmptiedFrom tells, it says nothing more.
func (c *Entry) EmptyBooleansAs(before *Entry, fields []string) []string {
	var lines []string
	for _, field := range fields {
		if before != nil && field == "require_audience" && before.RequireAudience {
			continue
		}
		line := EmptyIsFalse(field)
		if field == "disable_iss_validation" {
			line += c.issuerNow()
		}
		lines = append(lines, line)
	}
	return lines
}

// EmptiedReviewer tells whether the reviewer's token that was stored went by an empty value,
// which is also how an operator says that each login is to review itself.
func (c *Entry) EmptiedReviewer(before *Entry, emptied func(field string) bool) bool {
	return before != nil && before.HasReviewer() && !c.MakesReviewerTokens() && !c.HasReviewer() && emptied("token_reviewer_jwt")
}

// EmptyIsFalse says how an empty text for a boolean field was read.
func EmptyIsFalse(field string) string {
	return fmt.Sprintf("%s was named with an empty value, which is read as false.", field)
}
