package binding

import "strings"

// Known are the attributes that are known by now, as texts, under the names that
// selectors have for them: an entry of a map is serviceaccount.labels["team"], lists
// are joined with commas. What is absent is left out. The values are as long as they
// came.
func (a *Attributes) Known() map[string]string { return (&view{Attributes: a}).texts() }

// Known is Attributes.Known with serviceaccount.name as the rules see it that let an
// annotation stand in for it.
func (r *RuleAttributes) Known() map[string]string { return r.overriding.texts() }

func (v *view) texts() map[string]string {
	texts := map[string]string{}
	for _, a := range attributes {
		switch {
		case v.missing(a) != 0:
		case a.kind == kindMap:
			for key, value := range a.entries(v.Attributes) {
				texts[ref{attribute: a, key: key, keyed: true}.String()] = value
			}
		case a.kind == kindList:
			if list := a.list(v.Attributes); len(list) > 0 {
				texts[a.name] = strings.Join(list, ",")
			}
		default:
			if text := a.text(v); text != "" {
				texts[a.name] = text
			}
		}
	}
	return texts
}
