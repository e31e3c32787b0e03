package main

import (
	"fmt"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// rulesFinding looks at whether a rule can end logins that other rules would allow:
// whoever wrote it was warned, and may have been a script.
func (c *checker) rulesFinding(rules *binding.RuleSet) finding {
	if rules.Len() == 0 {
		return skipped("there are none, so each login names a role")
	}
	uncertain := rules.Uncertain(c.cluster.Config.Setting())
	if len(uncertain) == 0 {
		return passed("%d, and none takes its name from what need not be there", rules.Len())
	}
	lines := make([]string, len(uncertain))
	for i, u := range uncertain {
		lines[i] = fmt.Sprintf("binding rule %q: %s", u.Rule, u.Reason)
	}
	remedy := "vault patch " + shell.Word(c.mount+"/"+rulePrefix+uncertain[0].Rule) + " selector=" + shell.Word(uncertain[0].Selector)
	if uncertain[0].Selector == "" {
		remedy = "set cluster_name or map_namespaces, whichever the rule takes: vault patch " + shell.Word(c.mount+"/"+config.Path) + " …"
	}
	return warned(remedy, "%s", some(lines))
}
