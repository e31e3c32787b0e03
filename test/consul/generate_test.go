package consul

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// seedVariable repeats a run of the generator.
const seedVariable = "PARITY_SEED"

// leftOut are the accounts whose outcome differs on purpose, or whose name has no
// room in a Vault that keeps its state in files. They are left to the tables: a
// generated case does not know which outcome is right.
var leftOut = []string{"prod/huge", "prod/upper", "prod/blank", "prod/longest"}

// generator makes rules.
type generator struct {
	*rand.Rand
	accounts []string
}

func newGenerator(t *testing.T) *generator {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	for _, account := range slices.Sorted(maps.Keys(annotated)) {
		if !slices.Contains(leftOut, account) {
			g.accounts = append(g.accounts, account)
		}
	}
	return g
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

// space is what may stand between two words.
func (g *generator) space() string { return g.pick(" ", " ", " ", "  ", "\t", "\n") }

// words joins words with what may stand between them.
func (g *generator) words(list ...string) string {
	text := list[0]
	for _, word := range list[1:] {
		text += g.space() + word
	}
	return text
}

// rule makes a rule that both sides accept.
func (g *generator) rule() rule {
	const name, namespace, uid = "${serviceaccount.name}", "${serviceaccount.namespace}", "${serviceaccount.uid}"
	r := rule{bindType: g.pick("service", "service", "node", "role", "policy")}
	switch r.bindType {
	case "policy": // names that exist in Consul, since it skips others
		r.bindName = g.pick("ops", "web_reader", namespace)
	case "role":
		r.bindName = g.pick("ops", "no-such-role", name, namespace, namespace+"-"+name, namespace+"_"+name+"_1")
	default:
		r.bindName = g.pick("fixed", "a-b_c", name, name, namespace, namespace+"-"+name, "u-"+uid, name+"_"+name, "n"+name)
	}
	if g.IntN(8) > 0 {
		r.selector = g.selector(3)
	}
	return r
}

// rules makes some that this Consul knows.
func (g *generator) rules(f *fixture) (list []rule) {
	for n := 1 + g.IntN(4); len(list) < n; {
		if r := g.rule(); !f.byDocumentation(r) {
			list = append(list, r)
		}
	}
	return list
}

func (g *generator) selector(depth int) string {
	if depth == 0 {
		return g.comparison()
	}
	switch g.IntN(6) {
	case 0:
		return g.words(g.selector(depth-1), "and", g.selector(depth-1))
	case 1:
		return g.words(g.selector(depth-1), "or", g.selector(depth-1))
	case 2:
		return g.words("not", g.selector(depth-1))
	case 3:
		return "(" + g.pick("", " ") + g.selector(depth-1) + g.pick("", " ") + ")"
	}
	return g.comparison()
}

func (g *generator) comparison() string {
	attribute, value := g.attribute()
	selector := "serviceaccount." + attribute
	if g.IntN(8) == 0 {
		selector = fmt.Sprintf("serviceaccount[%q]", attribute)
	}
	switch g.IntN(4) {
	case 0:
		return selector + g.pick("", " ") + g.pick("==", "!=") + g.pick("", " ") + g.quote(value)
	case 1:
		return g.words(g.quote(g.part(value)), g.pick("in", "not in"), selector)
	case 2:
		return g.words(selector, g.pick("contains", "not contains"), g.quote(g.part(value)))
	}
	return g.words(selector, g.pick("matches", "not matches"), g.quote(g.pattern(value)))
}

// attribute picks an attribute and a value that one of the accounts has for it.
func (g *generator) attribute() (name, value string) {
	account := g.pick(g.accounts...)
	namespace, value, _ := strings.Cut(account, "/")
	switch g.IntN(6) {
	case 0, 1:
		return "namespace", namespace
	case 2:
		return "uid", "{uid " + account + "}"
	}
	if override, ok := annotated[account][serviceNameAnnotation]; ok {
		return "name", override
	}
	return "name", value
}

// part picks a part of a value. A uid is not known yet.
func (g *generator) part(value string) string {
	if strings.HasPrefix(value, "{uid ") {
		return value
	}
	start := g.IntN(len(value))
	return value[start : start+1+g.IntN(min(4, len(value)-start))]
}

func (g *generator) pattern(value string) string {
	if strings.HasPrefix(value, "{uid ") {
		return g.pick("^", "") + value
	}
	quoted := regexp.QuoteMeta(value)
	return g.pick(quoted, "^"+quoted, quoted+"$", "^"+quoted+"$", "^"+value[:1]+".*", "^[a-m]", "(?i)"+strings.ToUpper(value[:1]),
		"^("+quoted+"|web)$", "^(?:"+quoted+")?$", `^\w+$`, `^[[:alpha:]]{3}\b`, `\.`)
}

var bareWord = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// quote writes a value in one of the ways that there are.
func (g *generator) quote(value string) string {
	switch {
	case bareWord.MatchString(value) && g.IntN(3) == 0 && !slices.Contains([]string{"in", "is", "not", "any", "all"}, value):
		return value
	case g.IntN(2) == 0:
		return "`" + value + "`"
	}
	return strconv.Quote(value)
}

func TestGeneratedParity(t *testing.T) {
	f := servers(t)
	g := newGenerator(t)
	var allowed, refusals int
	for i := range 50 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			row := row{name: "generated"}
			row.rules = g.rules(f)
			consul, plugin := f.newSides(t, row.rules)
			for range 3 {
				account := g.pick(g.accounts...)
				if strings.Contains(account, ".") && slices.ContainsFunc(row.rules, func(r rule) bool { return r.bindType == "role" }) {
					continue // role-dots: that name is one of a role here, and none in Consul
				}
				want := consul.login(t, f.accounts[account].jwt)
				if got := plugin.login(t, f.accounts[account].jwt); !got.equal(want) {
					t.Errorf("%s by %q: the plugin: %s, Consul: %s", account, row.rules, got, want)
				}
				if want.refused() {
					refusals++
				} else {
					allowed++
				}
			}
		})
	}
	t.Logf("Consul allowed %d logins and refused %d", allowed, refusals)
	if allowed == 0 || refusals == 0 {
		t.Errorf("Consul allowed %d logins and refused %d, so this compares nothing", allowed, refusals)
	}
}
