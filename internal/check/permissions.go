package check

import (
	"context"
	"fmt"
	"sync"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// permission is something that a reviewer has to be allowed.
type permission struct {
	check  string
	access kube.Access
	// by are the reasons; none means that nothing needs it.
	by []string
	// grant is the command that gives it.
	grant string
}

func (c *checker) permissions() []permission {
	lookUp := func(resource string) string {
		return fmt.Sprintf("kubectl create clusterrole vault-get-%[1]s --verb=get --resource=%[1]s; "+
			"kubectl create clusterrolebinding vault-get-%[1]s-%[2]s --clusterrole=vault-get-%[1]s %[3]s", resource, anySuffix, anySubject)
	}
	return []permission{
		{
			check: checkMayReview, access: kube.Access{Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"},
			by:    []string{"every login"},
			grant: "kubectl create clusterrolebinding vault-reviewer-" + anySuffix + " --clusterrole=system:auth-delegator " + anySubject,
		},
		c.mayRenew(),
		{
			check: checkMayAccounts, access: kube.Access{Verb: "get", Resource: "serviceaccounts"},
			by: c.needs.accounts, grant: lookUp("serviceaccounts"),
		},
		{
			check: checkMayNamespaces, access: kube.Access{Verb: "get", Resource: "namespaces"},
			by: c.needs.namespaces, grant: lookUp("namespaces"),
		},
		{check: checkMayPods, access: kube.Access{Verb: "get", Resource: "pods"}, grant: lookUp("pods")},
	}
}

func (c *checker) checkPermissions(ctx context.Context) {
	var asked sync.WaitGroup
	for _, p := range c.permissions() {
		asked.Go(func() { c.note(p.check, c.permitted(ctx, p)) })
	}
	asked.Wait()
}

// onlyRenewals tells whether nothing but renewals needs a permission, of what objects it is,
// and with which renewal_check renewals do without.
func (c *checker) onlyRenewals(p permission) (only bool, objects, without string) {
	switch {
	case len(p.by) > 0:
	case p.check == checkMayAccounts && c.needs.renewals:
		return true, "service accounts", config.RenewalCheckNone
	case p.check == checkMayPods && c.needs.pods:
		return true, "pods", config.RenewalCheckAccount
	}
	return false, "", ""
}

// permitted asks for one permission, if something needs it.
func (c *checker) permitted(ctx context.Context, p permission) finding {
	onlyRenewals, objects, without := c.onlyRenewals(p)
	switch {
	case onlyRenewals:
		p.by = []string{"renewal_check"}
	case len(p.by) == 0 && c.needs.roles > 0:
		return skipped("nothing needs it, as far as the first %d of %d roles go", MaxRoles, c.needs.roles)
	case len(p.by) == 0:
		return skipped("nothing needs it")
	}
	what := fmt.Sprintf("%s %s", p.access.Verb, p.access.Resource)
	if p.access.Name != "" {
		what = fmt.Sprintf("%s %s/%s of %s/%s", p.access.Verb, p.access.Resource, p.access.Subresource, p.access.Namespace, p.access.Name)
	}
	allowed, err := c.cluster.Client.Allowed(ctx, p.access)
	failure, remedy := failureOf(err)
	if failure == kube.Forbidden && p.check == checkMayReview {
		// There is a harmless way to find out, which also counts where nobody may
		// ask about permissions.
		_, err = c.cluster.Client.ReviewToken(ctx, "not-a-token", nil)
		failure, remedy = failureOf(err)
		allowed = err == nil
		if failure == kube.Forbidden {
			failure, err = "", nil
		}
	}
	switch {
	case failure == kube.Forbidden:
		return skipped("the reviewer may not ask whether it may %s; needed by %s", what, scrub.Few(p.by))
	case err != nil:
		return failed(remedy, "%v", err)
	case allowed:
		return passed("the reviewer may %s; needed by %s", what, scrub.Few(p.by))
	case onlyRenewals:
		return warned(shell.Commented(p.grant, "or, to renew without: %s", c.patch("renewal_check="+without)),
			"the reviewer may not %s in all namespaces, so tokens may be renewed although their %s are gone; needed by renewal_check", what, objects)
	}
	if p.check == checkMayRenew {
		return c.mayNotRenew(p, what)
	}
	scope := ""
	if p.check == checkMayAccounts { // the other two have no namespace
		scope = " in all namespaces"
	}
	return failed(shell.Commented(p.grant, "to see it: kubectl auth can-i %s -A %s", what, anyUser),
		"the reviewer may not %s%s; needed by %s", what, scope, scrub.Few(p.by))
}
