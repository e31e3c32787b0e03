package check

import (
	"fmt"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/rules"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// rulesFinding looks at whether a rule can end logins that other rules would allow:
// whoever wrote it was warned, and may have been a script.
func (c *checker) rulesFinding(set *binding.RuleSet) finding {
	if set.Len() == 0 {
		return skipped("there are none, so each login names a role")
	}
	uncertain := set.Uncertain(c.cluster.Config.Setting())
	if len(uncertain) == 0 {
		return passed("%d, and none takes its name from what need not be there", set.Len())
	}
	lines := make([]string, len(uncertain))
	for i, u := range uncertain {
		lines[i] = fmt.Sprintf("binding rule %q: %s", u.Rule, u.Reason)
	}
	remedy := "vault patch " + shell.Word(c.mount.Path+"/"+rules.Prefix+uncertain[0].Rule) + " selector=" + shell.Word(uncertain[0].Selector)
	if uncertain[0].Selector == "" {
		remedy = "set cluster_name or map_namespaces, whichever the rule takes: vault patch " + shell.Word(c.mount.Path+"/"+config.Path) + " …"
	}
	return warned(remedy, "%s", scrub.Few(lines))
}
