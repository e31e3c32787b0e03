package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/posture"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

// longLived is how long a token may live before it is listed here. Projected volumes ask for
// an hour by default, and managed clusters extend it to a day or a year.
const longLived = 24 * time.Hour

// taking are the roles that take tokens which are stolen for long, in their order.
type taking struct{ longLived, unbound []string }

// examinePosture notes which tokens a role takes, by its own word and by that of the mount.
func (c *checker) examinePosture(name string, r *role.Role) {
	long, unbound := takes(c.cluster.Config.WantedPosture(), r.Posture)
	if long {
		c.taking.longLived = append(c.taking.longLived, name)
	}
	if unbound {
		c.taking.unbound = append(c.taking.unbound, name)
	}
}

// takes tells whether tokens pass that live for long, or are bound to no pod, where all of
// some postures have to hold.
func takes(all ...posture.Posture) (long, unbound bool) {
	long, unbound = true, true
	for _, p := range all {
		long = long && (p.MaxTokenLifetime == 0 || p.MaxTokenLifetime > longLived)
		unbound = unbound && !p.RequirePodBoundTokens
	}
	return long, unbound
}

// postureFinding tells who takes which tokens. It warns of nothing: Vault's own method takes
// them all, and so does each mount of which nobody asked otherwise.
func (c *checker) postureFinding(byRules bool) finding {
	var texts []string
	long, unbound := c.taking.longLived, c.taking.unbound
	if byRules {
		of := []posture.Posture{c.cluster.Config.WantedPosture()}
		if c.ruleRole != nil {
			of = append(of, c.ruleRole.Posture)
		}
		longByRules, unboundByRules := takes(of...)
		if longByRules {
			long = append(slices.Clone(long), "logins by the binding rules")
		}
		if unboundByRules {
			unbound = append(slices.Clone(unbound), "logins by the binding rules")
		}
	}
	if len(long) > 0 {
		texts = append(texts, fmt.Sprintf("taken for more than %s, or without an end (max_token_lifetime): %s", longLived, scrub.Few(long)))
	}
	if len(unbound) > 0 {
		texts = append(texts, "taken without a pod (require_pod_bound_tokens): "+scrub.Few(unbound))
	}
	if c.needs.roles > 0 {
		texts = append(texts, fmt.Sprintf("the first %d of %d roles were looked at", MaxRoles, c.needs.roles))
	}
	if len(texts) == 0 {
		return passed("tokens have to end within %s, and to be bound to a pod", longLived)
	}
	return passed("%s", strings.Join(texts, "; "))
}

// pathParts says which settings of the configuration have what a templated policy takes for
// a part of its path.
func (c *checker) pathParts() []string {
	settings := c.cluster.Config
	named := map[string]string{"cluster_name": settings.ClusterName, "consul_namespace_prefix": settings.ConsulNamespacePrefix}
	for _, to := range settings.ConsulNamespaceOverrides {
		if strings.Contains(to, "/") {
			named["consul_namespace_overrides"] = to
		}
	}
	var problems []string
	for _, field := range []string{"cluster_name", "consul_namespace_prefix", "consul_namespace_overrides"} {
		if strings.Contains(named[field], "/") {
			problems = append(problems, field+" has a /, which begins another segment of the path of a templated policy that is built on it; newer versions of Vault refuse such values there")
		}
	}
	return problems
}

// names are those of roles, as a list of the answer.
func (c *checker) names(of []string) []string {
	list := make([]string, 0, len(of))
	for _, name := range of {
		list = append(list, c.safe(name))
	}
	return list
}
