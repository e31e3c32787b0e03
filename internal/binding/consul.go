package binding

import (
	"errors"
	"slices"
	"strings"
)

// TemplatedPolicy is a policy of which Consul has a template, and what it is made for.
type TemplatedPolicy struct {
	// Template is the name of the template, such as builtin/service.
	Template string
	// Name is its variable; empty for a template that has none.
	Name string
}

// ConsulGrants is what all rules that match give to a Consul token together. Each list is
// sorted and without duplicates, and does not depend on the order of the rules. Roles and
// policies need not exist.
type ConsulGrants struct {
	Services, Nodes, Roles, Policies []string

	TemplatedPolicies []TemplatedPolicy
	// Rules are the names of the rules that matched.
	Rules []string
}

// Empty tells whether nothing is granted.
func (g ConsulGrants) Empty() bool {
	return len(g.Services)+len(g.Nodes)+len(g.Roles)+len(g.Policies)+len(g.TemplatedPolicies) == 0
}

func (g *ConsulGrants) add(rule Rule, name string) {
	g.Rules = append(g.Rules, rule.Name)
	switch rule.BindType {
	case BindConsulService:
		g.Services = append(g.Services, name)
	case BindConsulNode:
		g.Nodes = append(g.Nodes, name)
	case BindConsulRole:
		g.Roles = append(g.Roles, name)
	case BindConsulPolicy:
		g.Policies = append(g.Policies, name)
	case BindConsulTemplatedPolicy:
		policy := TemplatedPolicy{Template: rule.BindName}
		if rule.BindVarName != "" {
			policy.Name = name
		}
		g.TemplatedPolicies = append(g.TemplatedPolicies, policy)
	}
}

func (g *ConsulGrants) sort() {
	for _, list := range []*[]string{&g.Services, &g.Nodes, &g.Roles, &g.Policies, &g.Rules} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(g.TemplatedPolicies, func(a, b TemplatedPolicy) int {
		return strings.Compare(a.Template+end+a.Name, b.Template+end+b.Name)
	})
	g.TemplatedPolicies = slices.Compact(g.TemplatedPolicies)
}

// ConsulNames are the names of roles and policies that the rules give and that are no
// templates, each once, by bind type: what Consul should have.
func (s *RuleSet) ConsulNames() map[BindType][]string {
	names := map[BindType][]string{}
	for _, e := range s.snapshot.Load().all() {
		if e.rule == nil || len(e.rule.template.refs()) > 0 {
			continue
		}
		rule := e.rule.rule
		if rule.BindType != BindConsulRole && rule.BindType != BindConsulPolicy {
			continue
		}
		if name := e.rule.template.constant(); !slices.Contains(names[rule.BindType], name) {
			names[rule.BindType] = append(names[rule.BindType], name)
		}
	}
	return names
}

// ConsulUses are the bind types for Consul tokens that some rule has.
func (s *RuleSet) ConsulUses() []BindType {
	var types []BindType
	for _, e := range s.snapshot.Load().all() {
		if e.rule != nil && e.rule.rule.BindType.ForConsul() && !slices.Contains(types, e.rule.rule.BindType) {
			types = append(types, e.rule.rule.BindType)
		}
	}
	return types
}

// constant is the name of a template without attributes.
func (t *Template) constant() string {
	name := ""
	for _, p := range t.parts {
		name += p.literal
	}
	return name
}

// variableOf tells of Consul's templates whether they have the variable Name. Those of
// later versions are not known, and may have it.
var variableOf = map[string]bool{
	"builtin/service": true, "builtin/node": true, "builtin/workload-identity": true, "builtin/api-gateway": true,
	"builtin/dns": false, "builtin/nomad-server": false, "builtin/nomad-client": false,
}

const templatePrefix = "builtin/"

// checkTemplateName accepts the names of Consul's templates.
func checkTemplateName(name string) *badName {
	if !strings.HasPrefix(name, templatePrefix) {
		return &badName{0, "Consul's templates have names such as " + templatePrefix + "service"}
	}
	allowed := func(r rune) bool { return isServiceEdge(r) || r == '-' || r == '/' }
	return checkChars(name, maxPolicyBytes, allowed, "lower-case letters, digits, - and /")
}

// compileNames makes the template of what a rule computes: its bind name, and of a
// templated policy the variable, if there is one.
func compileNames(rule Rule, compile func(BindType, string) (*Template, error)) (*Template, error) {
	if rule.BindType != BindConsulTemplatedPolicy {
		if rule.BindVarName != "" {
			return nil, &InputError{Field: "bind_vars", Reason: "they are of consul-templated-policy; no other bind type has any"}
		}
		return compile(rule.BindType, rule.BindName)
	}
	if strings.Contains(rule.BindName, "${") {
		return nil, &InputError{Field: "bind_name", Reason: "the name of a template stands as it is; what it is made for is bind_vars name"}
	}
	name, err := compile(rule.BindType, rule.BindName)
	if err != nil {
		return nil, err
	}
	switch wanted, known := variableOf[rule.BindName]; {
	case known && wanted && rule.BindVarName == "":
		return nil, &InputError{Field: "bind_vars", Reason: "the template " + rule.BindName + ` needs one, such as name=${serviceaccount.name}`}
	case known && !wanted && rule.BindVarName != "":
		return nil, &InputError{Field: "bind_vars", Reason: "the template " + rule.BindName + " has none"}
	case rule.BindVarName == "":
		return name, nil
	}
	// The variable is the name of a service or a node, in Consul's own templates.
	variable, err := compile(BindConsulService, rule.BindVarName)
	var input *InputError
	if errors.As(err, &input) {
		input.Field = "bind_vars"
	}
	return variable, err
}
