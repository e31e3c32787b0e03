package consul

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pieces are what a change puts into a text.
var (
	selectorPieces = []string{
		"serviceaccount.name", "serviceaccount", ".", "==", "!=", " in ", " not ", " and ", " or ", " matches ", " contains ", " is empty",
		"(", ")", "[", "]", `"`, "`", "'", `\`, " ", "\t", "web", "1", "0", "-", "_", "{", "}", ",", "é", "*", "+", "|", "{2}", "[a-z]", "not", "any",
	}
	namePieces = []string{
		"$", "{", "}", "${", "$${", "serviceaccount.name", "serviceaccount", ".", "-", "_", "A", "z", "0", " ", `"`, "'", `\`, "+", "1",
		"(", ")", "[", "]", ",", "?", ":", "!", "%", "/", "é", "\t",
	}
)

// change makes one small change to a text, as one who mistypes does.
func (g *generator) change(text string, pieces []string) string {
	at := g.IntN(len(text) + 1)
	end := at
	if g.IntN(2) == 0 {
		end = min(len(text), at+1+g.IntN(2))
	}
	piece := ""
	if end == at || g.IntN(2) == 0 {
		piece = g.pick(pieces...)
	}
	return strings.ToValidUTF8(text[:at]+piece+text[end:], "")
}

// changed makes a rule that is likely wrong. Policies are left to the table:
// what their names may be is Vault's rule.
func (g *generator) changed() rule {
	r := rule{bindType: g.pick("service", "node", "role"), bindName: "x"}
	if g.IntN(3) == 0 {
		r.bindName = g.change(g.pick("web", "${serviceaccount.name}", "a-${serviceaccount.namespace}-${ serviceaccount.uid }"), namePieces)
	} else {
		r.selector = g.change(g.selector(2), selectorPieces)
	}
	return r
}

// explanations tell by the look of a rule that only one side accepts which of
// the deliberate differences that is. Texts in quotes are cut out beforehand.
var explanations = []struct {
	id     string
	consul bool // whether it is Consul that accepts
	field  func(rule) string
	looks  *regexp.Regexp
}{
	{"attribute-as-value", true, selectorOf, regexp.MustCompile(`(==|!=|matches|contains)\s*serviceaccount[.[]|serviceaccount[.[]\S+\s+(not\s+)?in\s`)},
	{"reserved-words", true, selectorOf, regexp.MustCompile(`(^|\(|\band|\bor|\bnot)\s*(any|all|not)\s+(not\s+)?in\s`)},
	{"mistaken-values", true, mistakenValueOf, regexp.MustCompile(`(?s).`)},
	{"no-computation", true, nameOf, regexp.MustCompile(`\$\{`)},
	{"role-dots", false, roleNameOf, regexp.MustCompile(`\w\.\w`)},
	{"newer-grammar", false, selectorOf, regexp.MustCompile(`\w/|\w\.\d`)},
}

var quoted = regexp.MustCompile("\"[^\"]*\"|`[^`]*`")

func selectorOf(r rule) string { return quoted.ReplaceAllString(r.selector, "Q") }

// mistakenValueOf is the first text in quotes that was meant otherwise than it reads, by what
// it is compared with, on whichever side of the operator and over however many lines. A uid
// that is to be filled in, of an account that a change of its name made unknown, stays as it
// is: no uid has its braces.
func mistakenValueOf(r rule) string {
	selector := writtenSelector(r)
	for _, at := range quoted.FindAllStringIndex(selector, -1) {
		before, raw := selector[:at[0]], selector[at[0]:at[1]]
		value := raw[1 : len(raw)-1]
		if plain, err := strconv.Unquote(raw); err == nil {
			value = plain
		}
		mistaken := false
		switch {
		case afterBracket.MatchString(before): // the key of an attribute
		case afterMatches.MatchString(before):
			mistaken = mistakenPattern.MatchString(value) || strings.Contains(value, "\b") || template.MatchString(value)
		default:
			mistaken = strings.ContainsAny(value, "*?{}<>$%'`\"") || template.MatchString(value) ||
				afterEquals.MatchString(before) && strings.TrimSpace(value) != value
		}
		if mistaken {
			return raw
		}
	}
	return ""
}

var (
	afterBracket = regexp.MustCompile(`\[\s*$`)
	afterMatches = regexp.MustCompile(`\bmatches\s*$`)
	// afterEquals is before what a namespace or a uid is compared with; an annotation, which
	// may be any text, stands in for a name.
	afterEquals = regexp.MustCompile("(namespace|uid)[\"`]?\\s*\\]?\\s*(==|!=)\\s*$")
	// mistakenPattern is one of a shell, and not a regular expression.
	mistakenPattern = regexp.MustCompile(`^\^?[\w/:.-]*[\w/:-]\*\$?$`)
	// template is an attribute within what other programs put around names.
	template = regexp.MustCompile(`([{<(%@#$]|\[\[)\s*\.?(serviceaccount|namespace|name|uid)`)
)

// writtenSelector is the selector with something in place of the uids that expand fills in.
func writtenSelector(r rule) string {
	text := r.selector
	for id := range annotated {
		text = strings.ReplaceAll(text, "{uid "+id+"}", "u")
	}
	return text
}

func nameOf(r rule) string { return r.bindName }

var computed = regexp.MustCompile(`\$\{[^}]*\}`)

// roleNameOf is what a rule writes of the name of a role itself.
func roleNameOf(r rule) string {
	if r.bindType != "role" {
		return ""
	}
	return computed.ReplaceAllString(r.bindName, "x")
}

func explained(r rule, byConsul bool) bool {
	for _, e := range explanations {
		if e.consul == byConsul && e.looks.MatchString(e.field(r)) {
			return true
		}
	}
	return false
}

func TestGeneratedWrites(t *testing.T) {
	f := servers(t)
	g := newGenerator(t)
	consul, plugin := f.newSides(t, nil)
	var valid, invalid int
	for range 400 {
		r := g.changed()
		if f.byDocumentation(r) {
			continue
		}
		r.selector = f.expand(r.selector)
		atConsul, atPlugin := consul.write(t, r), plugin.write(t, r)
		if atConsul == "" {
			valid++
		} else {
			invalid++
		}
		if (atConsul == "") != (atPlugin == "") && !explained(r, atConsul == "") {
			t.Errorf("%q: Consul: %q, the plugin: %q", r, atConsul, atPlugin)
		}
	}
	t.Logf("Consul accepted %d rules and refused %d", valid, invalid)
	if valid == 0 || invalid == 0 {
		t.Errorf("Consul accepted %d rules and refused %d, so this compares nothing", valid, invalid)
	}
}

// The explanations must not explain away what has nothing to do with them.
func TestExplanations(t *testing.T) {
	for _, row := range handmade() {
		for _, r := range row.rules {
			if r.bindName == "x" && (explained(r, true) || explained(r, false)) {
				t.Errorf("%q is accepted by both, and explained as a difference", r)
			}
		}
	}
	found := map[string]bool{}
	for _, row := range slices.Concat(selectorWrites, nameWrites) {
		if row.differs != "" && explained(row.rule, row.consul) {
			found[row.differs] = true
		}
	}
	for _, e := range explanations {
		if !found[e.id] {
			t.Errorf("%s explains none of the rows that are listed for it", e.id)
		}
	}
}
