package consul

import (
	"slices"
	"testing"
)

// A row is a set of rules, and what logins lead to by them.
type row struct {
	name   string
	rules  []rule
	logins logins
}

// login is one login of a row. The plugin is to do what Consul does, unless
// differs names one of the deliberate differences.
type login struct {
	account string // namespace/name
	consul  outcome
	plugin  outcome
	differs string
}

type logins []login

func rules(list ...rule) []rule { return list }

func as(account string, want outcome) login {
	return login{account: account, consul: want, plugin: want}
}

func asDiffers(id, account string, consul, plugin outcome) login {
	return login{account: account, consul: consul, plugin: plugin, differs: id}
}

func handmade() []row {
	return slices.Concat(selectorRows, joinRows, nameRows, annotationRows, audienceRows)
}

func TestParity(t *testing.T) {
	f := servers(t)
	for _, row := range handmade() {
		t.Run(row.name, func(t *testing.T) {
			consul, plugin := f.newSides(t, row.rules)
			for _, l := range row.logins {
				jwt := f.accounts[l.account].jwt
				if consul == nil { // asked is the documentation
				} else if got, want := consul.login(t, jwt), f.expand(string(l.consul)); string(got) != want {
					t.Errorf("%s at Consul: %s, want %s", l.account, got, want)
				}
				if got, want := plugin.login(t, jwt), outcome(f.expand(string(l.plugin))); !got.equal(want) {
					t.Errorf("%s at the plugin: %s, want %s", l.account, got, want)
				}
			}
		})
	}
}

// newSides makes a fresh method on each side and gives the rules to both. There is none
// at Consul if it does not know them.
func (f *fixture) newSides(t *testing.T, rules []rule) (consul, plugin method) {
	t.Helper()
	plugin = f.newPluginMount(t)
	sides := []method{plugin}
	if !f.byDocumentation(rules...) {
		consul = f.newConsulMethod(t)
		sides = append(sides, consul)
	}
	for _, r := range rules {
		r.selector = f.expand(r.selector)
		for _, m := range sides {
			if refusal := m.write(t, r); refusal != "" {
				t.Fatalf("%T refuses %q: %s", m, r, refusal)
			}
		}
	}
	return consul, plugin
}
