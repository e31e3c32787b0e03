package binding

import (
	"context"
	"errors"
	"fmt"
)

// NamespaceRule says in which namespace of Consul Enterprise the token of a service
// account is made. Its text is checked as that of a binding rule is.
type NamespaceRule struct {
	Selector      string `json:"selector"`
	BindNamespace string `json:"bind_namespace"`
}

// NamespaceRules are compiled rules, of which the first that matches counts. They are
// immutable and safe for concurrent use.
type NamespaceRules struct{ rules []*RuleSet } // of one rule each

// maxNamespaceRules bounds how many rules there are: each is evaluated at each login.
const maxNamespaceRules = 256

// CompileNamespaceRules checks rules and makes them ready. The annotation that may stand
// in for serviceaccount.name counts in them, as it does in Consul.
func CompileNamespaceRules(rules []NamespaceRule) (*NamespaceRules, error) {
	if len(rules) > maxNamespaceRules {
		return nil, fmt.Errorf("more than %d", maxNamespaceRules)
	}
	n := &NamespaceRules{}
	for i, rule := range rules {
		compiled, err := Compile(Rule{
			Name: fmt.Sprintf("namespace rule %d", i+1), Selector: rule.Selector, BindType: BindConsulRole, BindName: rule.BindNamespace,
			UseServiceNameAnnotation: true,
		})
		var input *InputError
		if errors.As(err, &input) && input.Field == "bind_name" {
			input.Field = "bind_namespace"
		}
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		}
		set := NewRuleSet()
		set.Put(compiled)
		n.rules = append(n.rules, set)
	}
	return n, nil
}

// Bind returns the namespace that the first rule which matches computes, "" if none does.
// One that computes no valid name fails the login, as with binding rules.
func (n *NamespaceRules) Bind(ctx context.Context, attrs *RuleAttributes, fetch Fetch) (string, error) {
	for _, rule := range n.rules {
		grants, err := rule.BindConsul(ctx, attrs, fetch)
		if err != nil {
			return "", err
		}
		if len(grants.Roles) > 0 {
			return grants.Roles[0], nil
		}
	}
	return "", nil
}
