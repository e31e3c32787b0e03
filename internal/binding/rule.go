package binding

// Rule is a binding rule as it is written and stored.
type Rule struct {
	Name        string
	Description string
	// Selector says which identities the rule is for; empty means all.
	Selector string
	BindType BindType
	// BindName is the name that is granted, or a template of it. Of a templated policy it
	// is the name of Consul's template, as it stands.
	BindName string
	// BindVarName is the variable Name of a templated policy, or a template of it.
	BindVarName string
	// UseServiceNameAnnotation lets the annotation of a service account that the
	// mount names stand in for serviceaccount.name, in selector and bind name.
	// Whoever may annotate then chooses the name.
	UseServiceNameAnnotation bool
}

// CompiledRule is a rule that is ready to be evaluated. It is immutable and safe
// for concurrent use.
type CompiledRule struct {
	rule     Rule
	selector *Selector
	template *Template
	// indexKey is where the rule is found by what its selector pins.
	indexKey string
}

// Compile checks a rule and makes it ready. The error is an *InputError.
func Compile(rule Rule) (*CompiledRule, error) {
	return compileRule(rule, CompileSelector, CompileTemplate)
}

// CheckWritten refuses what cannot be compiled and, of the fields that are being written,
// what can be and was certainly meant otherwise: a stored rule goes on as it was. The
// error is an *InputError.
func CheckWritten(rule Rule, selector, bindName bool) error {
	compileSelector, compileTemplate := CompileSelector, CompileTemplate
	if selector {
		compileSelector = CompileWrittenSelector
	}
	if bindName {
		compileTemplate = CompileWrittenTemplate
	}
	_, err := compileRule(rule, compileSelector, compileTemplate)
	return err
}

func compileRule(rule Rule, compileSelector func(string) (*Selector, error), compileTemplate func(BindType, string) (*Template, error)) (*CompiledRule, error) {
	if rule.Name == "" {
		return nil, &InputError{Field: "name", Reason: "missing"}
	}
	selector, err := compileSelector(rule.Selector)
	if err != nil {
		return nil, err
	}
	template, err := compileNames(rule, compileTemplate)
	if err != nil {
		return nil, err
	}
	return &CompiledRule{
		rule:     rule,
		selector: selector,
		template: template,
		indexKey: classOf(rule) + indexKey(rule.Name, selector),
	}, nil
}

// Rule returns what was compiled.
func (c *CompiledRule) Rule() Rule { return c.rule }
