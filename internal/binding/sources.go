package binding

// Sources are those of every attribute that the selector mentions: what deciding it
// may have to ask for.
func (s *Selector) Sources() Sources { return mentioned(s.root) }

func mentioned(root node) (sources Sources) {
	switch n := root.(type) {
	case and:
		for _, operand := range n {
			sources |= mentioned(operand)
		}
	case or:
		for _, operand := range n {
			sources |= mentioned(operand)
		}
	case not:
		sources = mentioned(n.operand)
	case *comparison:
		sources = n.ref.source
	}
	return sources
}

// Mentioning returns the names of the rules whose selector or bind name mentions an
// attribute of the source. That an annotation may replace serviceaccount.name does
// not count.
func (s *RuleSet) Mentioning(source Source) []string {
	var names []string
	for _, e := range s.snapshot.Load().all() {
		if e.rule == nil {
			continue
		}
		sources := mentioned(e.root)
		for _, p := range e.rule.template.parts {
			if p.ref != nil {
				sources |= p.ref.source
			}
		}
		if sources.Has(source) {
			names = append(names, e.name)
		}
	}
	return names
}
