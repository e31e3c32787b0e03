package binding

import "slices"

// Grants is what all rules that match grant together. Each list is sorted and
// without duplicates, and does not depend on the order of the rules.
type Grants struct {
	// Policies are token policies, in the lower case in which Vault holds them.
	Policies []string
	// Roles are names of roles that may not exist, and whose bounds were not
	// looked at.
	Roles []string
	// Groups are names of identity group aliases.
	Groups []string
	// Services and Nodes are Consul's.
	Services []string
	Nodes    []string
	// Rules are the names of the rules that matched.
	Rules []string
}

// Empty tells whether nothing is granted.
func (g Grants) Empty() bool {
	return len(g.Policies)+len(g.Roles)+len(g.Groups)+len(g.Services)+len(g.Nodes) == 0
}

func (g *Grants) add(rule Rule, name string) {
	g.Rules = append(g.Rules, rule.Name)
	switch rule.BindType {
	case BindPolicy:
		g.Policies = append(g.Policies, name)
	case BindRole:
		g.Roles = append(g.Roles, name)
	case BindGroup:
		g.Groups = append(g.Groups, name)
	case BindService:
		g.Services = append(g.Services, name)
	case BindNode:
		g.Nodes = append(g.Nodes, name)
	}
}

func (g *Grants) sort() {
	for _, list := range []*[]string{&g.Policies, &g.Roles, &g.Groups, &g.Services, &g.Nodes, &g.Rules} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}
