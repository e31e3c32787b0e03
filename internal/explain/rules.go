package explain

import (
	"fmt"
	"slices"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// addRules tells of each binding rule what became of it. What is wrong with a rule
// comes before those that are merely for somebody else.
func (a *Answer) addRules(data map[string]any) {
	matched, wrong, others := []string{}, []string{}, []string{}
	for _, rule := range a.Account.rules {
		why := a.whyNot(rule)
		line := func(text string) string {
			if rule.UseServiceNameAnnotation {
				text = "(use_service_name_annotation) " + text
			}
			return rule.Rule + ": " + text
		}
		if rule.Rule == a.Rule {
			said := why
			if why == "" {
				said = fmt.Sprintf("grants %s %s", rule.BindType, rule.Name)
			}
			data["rule"] = a.Text(line(said), MaxReason)
		}
		switch {
		case why == "":
			matched = append(matched, line(fmt.Sprintf("grants %s %s", rule.BindType, rule.Name)))
		case rule.Outcome == binding.NotMatched:
			others = append(others, line(why))
		default:
			wrong = append(wrong, line(why))
		}
	}
	if a.Rule != "" && data["rule"] == nil {
		data["rule"] = a.Text(fmt.Sprintf("there is no binding rule %q", a.Rule), MaxReason)
	}
	notMatched := slices.Concat(wrong, others)
	left := max(0, len(matched)-MaxRules) + max(0, len(notMatched)-MaxRules)
	data["rules_matched"] = a.Lines(matched[:min(len(matched), MaxRules)])
	data["rules_not_matched"] = a.Lines(notMatched[:min(len(notMatched), MaxRules)])
	if left > 0 {
		data["rules_not_listed"] = left
	}
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
