package access

import (
	"context"
	"slices"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

const (
	// MaxEntries is how many entries a page can have.
	MaxEntries = 1000
	// maxRoles is how many roles are read for a page.
	maxRoles = 1000
	// maxLine is how long what is told of one role or rule can get, in bytes.
	maxLine = 1 << 10
)

// Page is a part of an answer: roles in the order of their names, then rules.
type Page struct {
	// Limit is how many entries it takes, 1 to MaxEntries.
	Limit int
	// After is Next of the page before, empty on the first.
	After string
	// RuleRole is the role that all logins by rules go through, empty if there is none.
	RuleRole string
	// Load reads a role; nil if there is none, or none that a login could use.
	Load func(ctx context.Context, name string) (*role.Role, error)

	// Found is what the question is answered with, by role/NAME and binding-rule/NAME.
	Found map[string]string

	reads int // of roles
	last  string
	full  bool
}

// Fill asks a question of the roles with these names, and of the rules, as far as the page
// goes. Errors are those of Load.
func (p *Page) Fill(ctx context.Context, question Question, names []string, set *binding.RuleSet) error {
	p.Found = map[string]string{}
	if err := p.addRoles(ctx, question, names); err != nil {
		return err
	}
	return p.addRules(ctx, question, set)
}

// Next is what the following page goes After, empty if there is none.
func (p *Page) Next() string {
	if !p.full {
		return ""
	}
	return p.last
}

func (p *Page) addRoles(ctx context.Context, question Question, names []string) error {
	names = slices.Clone(names)
	slices.Sort(names)
	for _, name := range names {
		if !p.wants("role/" + name) {
			continue
		}
		r, err := p.load(ctx, name)
		if err != nil {
			return err
		}
		if r != nil {
			p.add("role/"+name, question.OfRole(name, r, name == p.RuleRole))
		}
	}
	return nil
}

func (p *Page) addRules(ctx context.Context, question Question, set *binding.RuleSet) error {
	roleOf := func(name string) (*role.Role, error) { return p.load(ctx, name) }
	for _, name := range set.Names() {
		key := "binding-rule/" + name
		rule, found := set.Get(name)
		// Rules come after roles, whatever the letters.
		if !found || !p.wants("~"+key) {
			continue
		}
		line, err := question.OfRule(rule, roleOf)
		if err != nil {
			return err
		}
		p.add(key, line)
	}
	return nil
}

func (p *Page) load(ctx context.Context, name string) (*role.Role, error) {
	p.reads++
	return p.Load(ctx, name)
}

// wants tells whether what has the key belongs to this page.
func (p *Page) wants(key string) bool {
	if key <= p.After || p.full {
		return false
	}
	if len(p.Found) >= p.Limit || p.reads >= maxRoles {
		p.full = true
		return false
	}
	p.last = key
	return true
}

func (p *Page) add(key, line string) {
	if line != "" {
		p.Found[key] = scrub.Bounded(line, maxLine)
	}
}
