package importer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/rules"
)

// What the answer to an import warns of besides what a written rule is warned of, in
// words for several rules at once.
const (
	powerfulPolicy binding.Kind = "become policies of Vault with names that powerful policies have, and whoever they match gets all that those allow there; look at them before, or give policy_prefix"
	computedPolicy binding.Kind = "compute names of policies of Vault: whoever may choose the values chooses among all policies of such names; give policy_prefix where they are not meant"
	namedPolicy    binding.Kind = "become policies of Vault, where the names may mean something else than in Consul; policy_prefix gives them others"
	roleIsThere    binding.Kind = "bind roles which this mount has already: see whether they are meant, or give role_prefix"
	roleIsMissing  binding.Kind = "bind roles that do not exist, and logins skip them until they do; with only_by_binding_rules=true a role needs no bounds of its own, and no login can name it"
	roleIsRefused  binding.Kind = "bind roles with a policy that Vault gives to no token of an auth method: each login that gets one is refused"
	goneFromConsul binding.Kind = "came with an earlier import, binding_rules has them no more, and they go on granting; remove_missing=true deletes them"
)

// warning is one about one rule.
type warning struct {
	rule string
	kind binding.Kind
	line string // where the rule is the only one of its kind
	of   string // what of the rule it is about, where there are several; may be empty
}

// maxRulesTold bounds how many names of rules a warning has.
const maxRulesTold = 20

// toldByKind makes one line of all warnings of a kind: Vault's command prints each line of a
// hundred, and nobody reads them.
func toldByKind(warnings []warning) (lines []string) {
	var kinds []binding.Kind
	byKind := map[binding.Kind][]warning{}
	for _, w := range warnings {
		if byKind[w.kind] == nil {
			kinds = append(kinds, w.kind)
		}
		if of := byKind[w.kind]; len(of) == 0 || of[len(of)-1].rule != w.rule { // once for two attributes
			byKind[w.kind] = append(of, w)
		}
	}
	for _, kind := range kinds {
		lines = append(lines, toldTogether(byKind[kind]))
	}
	return lines
}

func toldTogether(of []warning) string {
	first := of[0]
	if len(of) == 1 {
		return first.line
	}
	var names []string
	for _, w := range of[:min(len(of), maxRulesTold)] {
		name := w.rule
		if w.of != "" {
			name += " (" + w.of + ")"
		}
		names = append(names, name)
	}
	line := fmt.Sprintf("%d rules %s: %s", len(of), first.kind, strings.Join(names, ", "))
	if more := len(of) - len(names); more > 0 {
		line += fmt.Sprintf(", and %d more", more)
	}
	if first.of == "" {
		line += ". The first, " + first.line
	}
	return line
}

// warnOf notes what the writer of a rule would be told, and what the name that it binds
// means in Vault, where it need not be what it meant in Consul.
func (m *Mount) warnOf(ctx context.Context, plan *Plan, name string, entry *rules.Entry, unchanged bool) error {
	if missing := entry.MissingRole(ctx, m.Roles); missing != "" {
		plan.warn(name, roleIsMissing, fmt.Sprintf("%.64q", entry.BindName), ": "+missing)
	}
	if refused := entry.RefusedRole(ctx, m.Roles); refused != "" {
		plan.warn(name, roleIsRefused, fmt.Sprintf("%.64q", entry.BindName), ": "+refused)
	}
	if unchanged {
		return nil // it was told of when it was written
	}
	compiled, err := binding.Compile(entry.Rule(name))
	if err != nil {
		return err
	}
	for _, w := range compiled.Warnings(plan.Config.Setting()) {
		plan.warn(name, w.Kind, "", ": "+w.Text)
	}
	m.warnOfName(ctx, plan, name, entry)
	return nil
}

func (p *Plan) warn(rule string, kind binding.Kind, of, line string) {
	p.warnings = append(p.warnings, warning{rule: rule, kind: kind, of: of, line: rule + line})
}

// powerfulNames are names that policies have which may do nearly everything, and
// those that Consul itself gives. In Vault they may be somebody's already, or become so.
var powerfulNames = []string{
	"global-management", "builtin/global-read-only", "admin", "admins", "administrator", "administrators", "superuser", "super-user",
	"sudo", "operator", "operators", "ops", "vault-admin", "hcp-root", "root", "default",
}

func (m *Mount) warnOfName(ctx context.Context, plan *Plan, rule string, entry *rules.Entry) {
	name := entry.BindName
	of, computed := fmt.Sprintf("%.64q", name), strings.Contains(name, "${")
	switch binding.BindType(entry.BindType) {
	case binding.BindRole:
		if computed {
			return
		}
		if r, err := m.Roles.Role(ctx, name); err == nil && r != nil && !r.OnlyByBindingRules {
			plan.warn(rule, roleIsThere, of, fmt.Sprintf(" binds the role %q, which this mount has already: see whether it is meant, or give role_prefix", name))
		}
	case binding.BindPolicy:
		switch {
		case plan.options.PolicyPrefix != "": // a name that was chosen for Vault
		case slices.Contains(powerfulNames, strings.ToLower(name)):
			plan.warn(rule, powerfulPolicy, of, fmt.Sprintf(" becomes the policy %q of Vault, a name that powerful policies have: whoever it matches gets all that it allows there; look at it before, or give policy_prefix", name))
		case computed:
			plan.warn(rule, computedPolicy, of, fmt.Sprintf(" computes names of policies of Vault as %q: whoever may choose the value chooses among all policies of such names; give policy_prefix where they are not meant", name))
		default:
			plan.warn(rule, namedPolicy, of, fmt.Sprintf(" becomes the policy %q of Vault, where the name may mean something else than in Consul; policy_prefix gives it another", name))
		}
	}
}

// narrowerThanConsul says what lets fewer log in by rules than Consul does, a line each.
// An import leaves it as it is: it was set for the rules that the mount has already.
func narrowerThanConsul(c *config.Entry) []string {
	var lines []string
	if len(c.BindingRuleAudiences) > 0 {
		lines = append(lines, fmt.Sprintf("tokens for the API server's own audience: binding_rule_audiences asks for one of %q, and stays", c.BindingRuleAudiences))
	}
	if c.BindingRuleRole != "" {
		lines = append(lines, fmt.Sprintf("logins without bounds: all go through binding_rule_role %q, which stays", c.BindingRuleRole))
	}
	return lines
}
