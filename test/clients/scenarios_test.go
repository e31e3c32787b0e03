package clients

import (
	"slices"
	"testing"
)

// scenario is what happens to a client. It returns in a few words what became of the client,
// as the table of docs/clients.md has it.
type scenario struct {
	name string
	of   func(client) bool
	run  func(*testing.T, client) string
}

func everyone(client) bool   { return true }
func stays(c client) bool    { return c.keep != nil }
func endsWell(c client) bool { return c.keep != nil && !c.forgets }

var scenarios = []scenario{
	{"by role", everyone, byARole},
	{"by rules", everyone, byTheRules},
	{"403", everyone, denied},
	{"API server down", everyone, unreachable},
	{"wrapped", func(c client) bool { return c.unwraps }, wrapped},
	{"new token file", endsWell, rotated},
	{"renewal", stays, renews},
	{"end of the token", endsWell, tokenEnds},
	{"account made anew", stays, accountAnew},
	{"plugin killed", stays, pluginKilled},
}

// TestClients runs each client through each scenario that applies to it, and compares what
// became of it with the table in docs/clients.md.
func TestClients(t *testing.T) {
	table := readTable(t)
	for _, s := range scenarios {
		for _, c := range clients {
			t.Run(s.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				want := table[[2]string{c.name, s.name}]
				if !s.of(c) {
					if want != "–" {
						t.Errorf("docs/clients.md says %q of what does not apply", want)
					}
					return
				}
				got := s.run(t, c)
				if got != want {
					t.Errorf("%s, %s: %q; docs/clients.md says %q", c.name, s.name, got, want)
				}
			})
		}
	}
}

// logIn has the client log in, and returns the token.
func logIn(t *testing.T, c client, m *mount, role string) token {
	t.Helper()
	if c.once == nil {
		c.keep(t, m.place(role))
		return m.await("logged in", func(token) bool { return true })
	}
	said := c.once(t, m.place(role))
	if said.Error != "" {
		t.Fatalf("%+v; %v", said, m.logins())
	}
	return m.await("what the client says", func(one token) bool { return said.Accessor == "" || one.Accessor == said.Accessor })
}

func byARole(t *testing.T, c client) string {
	m := newMount(t, settings{role: fields{"token_policies": "of-the-role," + rulePolicy}})
	if got := logIn(t, c, m, "app"); !slices.Contains(got.Policies, "of-the-role") || got.Meta["role"] != "app" || got.Meta["binding_rules"] != "" {
		t.Errorf("got %+v", got)
	}
	return "logs in"
}

// byTheRules needs the role to stand for the rules: without use_binding_rules, a role with
// the same name that lets everybody in gives nothing of what rules grant.
func byTheRules(t *testing.T, c client) string {
	m := newMount(t, settings{})
	if got := logIn(t, c, m, byRules); !grantedByRule(got) || got.Meta["binding_rules"] != "all" {
		t.Fatalf("got %+v", got)
	}
	other := newMount(t, settings{})
	other.role(byRules, fields{
		"use_binding_rules": false, "bound_service_account_names": "*", "bound_service_account_namespaces": "*",
		"audience": audience, "token_policies": "own",
	})
	if got := logIn(t, c, other, byRules); grantedByRule(got) {
		t.Errorf("without use_binding_rules rules granted %+v", got)
	}
	return "logs in"
}
