package consul

import (
	"slices"
	"strings"
	"testing"
)

// A rule is a binding rule, as both sides know it.
type rule struct{ selector, bindType, bindName string }

func service(selector, name string) rule { return rule{selector, "service", name} }
func node(selector, name string) rule    { return rule{selector, "node", name} }
func role(selector, name string) rule    { return rule{selector, "role", name} }
func policy(selector, name string) rule  { return rule{selector, "policy", name} }

// A method is an auth method of its own on one of the two sides, without rules
// at first.
type method interface {
	// write adds a rule. It returns why the rule is refused, or "".
	write(t *testing.T, r rule) (refusal string)

	// login logs in with a service account's token.
	login(t *testing.T, jwt string) outcome
}

// An outcome is what a login leads to: what is bound, as sorted type=name pairs
// with spaces between them, or a refusal.
type outcome string

// Consul tells who logs in why it refuses; the plugin does not.
const (
	nothing         outcome = "refused: no rule grants anything"
	badName         outcome = "refused: a matching rule computes an invalid name"
	notForIt        outcome = "refused: the API server does not take the token for its own"
	refusedByPlugin outcome = "refused"
)

func (o outcome) refused() bool { return strings.HasPrefix(string(o), "refused") }

// equal takes all refusals for one.
func (o outcome) equal(other outcome) bool {
	return o == other || o.refused() && other.refused()
}

// bound makes an outcome of names by their type.
func bound(names map[string][]string) outcome {
	var all []string
	for kind, list := range names {
		for _, name := range list {
			all = append(all, kind+"="+name)
		}
	}
	slices.Sort(all)
	return outcome(strings.Join(all, " "))
}
