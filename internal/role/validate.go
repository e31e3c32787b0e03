package role

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-secure-stdlib/strutil"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/typo"
)

// Validate refuses what no login could use, in the order and the words of Vault,
// and then what Vault's own method does not have. A namespace selector that was
// stored before, perhaps by Vault's method, and is not part of this write, is taken
// as it is.
func (r *Entry) Validate(writesSelector bool) error {
	if err := r.validateBounds(writesSelector); err != nil {
		return err
	}
	if r.UseBindingRules && r.OnlyByBindingRules {
		return errors.New(`"use_binding_rules" is for logins that name the role, and "only_by_binding_rules" refuses these: one must be false`)
	}
	for _, pair := range r.BoundServiceAccounts {
		namespace, name, ok := strings.Cut(pair, "/")
		if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
			if meant := typo.Pairs(r.BoundServiceAccounts); meant != "" {
				return fmt.Errorf(`"bound_service_accounts" must be pairs namespace/name, %q is not; write %s`, pair, meant)
			}
			return fmt.Errorf(`"bound_service_accounts" must be pairs namespace/name, %q is not`, pair)
		}
	}
	if len(r.BoundAudiences) > 0 && r.Audience != "" {
		return errors.New(`"audience" and "bound_audiences" are the same setting, one must be empty`)
	}
	if slices.Contains(r.BoundAudiences, "") {
		return errors.New(`"bound_audiences" can not hold an empty audience`)
	}
	if err := r.Posture.Validate(); err != nil {
		return err
	}
	_, err := binding.CompileSelector(r.Selector)
	return err
}

// validateBounds checks the bounds that Vault's own method has. A role that binds
// pairs needs none of them, nor does one that binding rules stand behind.
func (r *Entry) validateBounds(writesSelector bool) error {
	if r.bindsPairsAlone() || r.LeavesBoundsToRules() {
		return nil
	}
	if len(r.ServiceAccountNames) == 0 {
		return errors.New(`"bound_service_account_names" can not be empty`)
	}
	if mixesStar(r.ServiceAccountNames) {
		return errMixedStar
	}
	if len(r.ServiceAccountNamespaces) == 0 && r.ServiceAccountNamespaceSelector == "" {
		return errors.New(`"bound_service_account_namespaces" can not be empty if "bound_service_account_namespace_selector" is not set`)
	}
	if r.ServiceAccountNamespaceSelector != "" && writesSelector {
		if _, err := parseNamespaceSelector(r.ServiceAccountNamespaceSelector); err != nil {
			if meant := namespaceSelectorMeant(r.ServiceAccountNamespaceSelector); meant != "" {
				return fmt.Errorf(`invalid "bound_service_account_namespace_selector" configured: %w; write: %s`, err, meant)
			}
			return fmt.Errorf(`invalid "bound_service_account_namespace_selector" configured: %w`, err)
		}
	}
	if mixesStar(r.ServiceAccountNamespaces) {
		return errMixedStar
	}
	return nil
}

// bindsPairsAlone tells whether bound_service_accounts is the one bound of the role.
func (r *Entry) bindsPairsAlone() bool {
	return len(r.BoundServiceAccounts) > 0 && len(r.ServiceAccountNames) == 0 &&
		len(r.ServiceAccountNamespaces) == 0 && r.ServiceAccountNamespaceSelector == ""
}

var errMixedStar = errors.New(`can not mix "*" with values`)

func mixesStar(list []string) bool {
	return len(list) > 1 && strutil.StrListContains(list, "*")
}
