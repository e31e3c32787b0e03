package explain

import (
	"fmt"
	"slices"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// said is what is told of one rule.
type said struct{ rule, text string }

// addRules tells of each binding rule what became of it. Where there are too many, what is
// wrong with a rule comes before those that are merely for somebody else.
func (a *Answer) addRules(data map[string]any) {
	var matched, wrong, others []said
	for _, rule := range a.Account.rules {
		why := a.whyNot(rule)
		text := why
		if why == "" {
			text = fmt.Sprintf("grants %s %s", rule.BindType, rule.Name)
		}
		if rule.UseServiceNameAnnotation {
			text = "(use_service_name_annotation) " + text
		}
		if rule.Rule == a.Rule {
			data["rule"] = a.Text(rule.Rule+": "+text, MaxReason)
		}
		switch {
		case why == "":
			matched = append(matched, said{rule.Rule, text})
		case rule.Outcome == binding.NotMatched:
			others = append(others, said{rule.Rule, text})
		default:
			wrong = append(wrong, said{rule.Rule, text})
		}
	}
	if a.Rule != "" && data["rule"] == nil {
		data["rule"] = a.Text(fmt.Sprintf("there is no binding rule %q", a.Rule), MaxReason)
	}
	left := a.addSaid(data, "rules_matched", matched) + a.addSaid(data, "rules_not_matched", slices.Concat(wrong, others))
	if left > 0 {
		data["rules_not_listed"] = left
	}
}

// addSaid adds how many rules there are of a kind and, under keys of their own, what is said
// of the first MaxRules; it returns how many it leaves out.
func (a *Answer) addSaid(data map[string]any, kind string, rules []said) int {
	data[kind] = len(rules)
	listed := rules[:min(len(rules), MaxRules)]
	for _, rule := range listed {
		data[kind+"/"+a.Text(rule.rule, maxKey)] = a.Text(rule.text, MaxReason)
	}
	return len(rules) - len(listed)
}

// whyNot says why a rule grants nothing, or "" if it does.
func (a *Answer) whyNot(rule binding.Explanation) string {
	switch rule.Outcome {
	case binding.Matched:
	case binding.Broken:
		return "broken, matches nothing: " + rule.Reason
	default:
		return rule.Reason
	}
	bound, judged := a.Account.roles[rule.Name]
	switch {
	case rule.BindType != binding.BindRole:
		return ""
	case !judged:
		return fmt.Sprintf("matches, but the login ended before the role %q was looked at", rule.Name)
	case bound == nil:
		return fmt.Sprintf("skipped: there is no role %q", rule.Name)
	case bound.refused == nil:
		return ""
	}
	if refusal.IsMismatch(bound.refused) {
		return fmt.Sprintf("skipped: the bounds of the role %q do not hold: %s", rule.Name, bound.reasons())
	}
	return fmt.Sprintf("%s about the role %q: %s", refusal.KindOf(bound.refused), rule.Name, bound.reasons())
}
