package binding

import (
	"strings"
	"sync"
	"sync/atomic"

	iradix "github.com/hashicorp/go-immutable-radix"
)

// RuleSet holds compiled rules by name. Readers take a snapshot and are never
// blocked; a write costs as much as the names are long, however many rules there
// are. It is safe for concurrent use.
type RuleSet struct {
	writes   sync.Mutex
	snapshot atomic.Pointer[snapshot]
}

type snapshot struct {
	tree  *iradix.Tree
	count int
	// overriding is how many rules let an annotation stand in for a name, and consul how
	// many are for Consul tokens.
	overriding, consul int
}

// NewRuleSet returns a rule set without rules.
func NewRuleSet() *RuleSet {
	s := &RuleSet{}
	s.snapshot.Store(&snapshot{tree: iradix.New()})
	return s
}

// entry is a rule of a rule set.
type entry struct {
	name string
	// root is the rule's selector, here because all that a login of 100,000
	// rules costs is to fetch them from memory.
	root node
	// overriding is the rule's UseServiceNameAnnotation, here for the same reason.
	overriding bool
	// rule is nil if the rule is broken, and then err says why.
	rule *CompiledRule
	err  error
}

// Put adds a rule, or replaces the one of the same name.
func (s *RuleSet) Put(rule *CompiledRule) {
	s.replace(rule.rule.Name, &entry{
		name: rule.rule.Name, root: rule.selector.root, overriding: rule.rule.UseServiceNameAnnotation, rule: rule,
	})
}

// PutBroken adds a rule that is stored and cannot be compiled, or replaces the
// one of the same name. It matches nothing, and is only there to be reported.
func (s *RuleSet) PutBroken(name string, err error) {
	s.replace(name, &entry{name: name, err: err})
}

// Delete removes a rule, if it is there.
func (s *RuleSet) Delete(name string) { s.replace(name, nil) }

func (s *RuleSet) replace(name string, with *entry) {
	s.writes.Lock()
	defer s.writes.Unlock()
	old := s.snapshot.Load()
	next := &snapshot{count: old.count, overriding: old.overriding, consul: old.consul}
	txn := old.tree.Txn()
	if was, found := txn.Delete([]byte(keyName + name)); found {
		next.add(was.(*entry), -1)
		if was := was.(*entry); was.rule != nil {
			txn.Delete([]byte(was.rule.indexKey))
		}
	}
	if with != nil {
		next.add(with, 1)
		txn.Insert([]byte(keyName+name), with)
		if with.rule != nil {
			txn.Insert([]byte(with.rule.indexKey), with)
		}
	}
	next.tree = txn.Commit()
	s.snapshot.Store(next)
}

// add counts an entry in, or with -1 out.
func (s *snapshot) add(e *entry, n int) {
	s.count += n
	if e.overriding {
		s.overriding += n
	}
	if e.rule != nil && e.rule.rule.BindType.ForConsul() {
		s.consul += n
	}
}

// Len is the number of rules, broken ones included.
func (s *RuleSet) Len() int { return s.snapshot.Load().count }

// LenForConsul is the number of rules for Consul tokens. Those of neither kind, which are
// broken, count for Vault tokens.
func (s *RuleSet) LenForConsul() int { return s.snapshot.Load().consul }

// LenForVault is the number of the others.
func (s *RuleSet) LenForVault() int {
	now := s.snapshot.Load()
	return now.count - now.consul
}

// Get returns the rule of that name; not if there is none, or it is broken.
func (s *RuleSet) Get(name string) (Rule, bool) {
	value, ok := s.snapshot.Load().tree.Get([]byte(keyName + name))
	if !ok || value.(*entry).rule == nil {
		return Rule{}, false
	}
	return value.(*entry).rule.rule, true
}

// Find returns the rule of that name, or why it is broken.
func (s *RuleSet) Find(name string) (rule Rule, found bool, broken error) {
	value, ok := s.snapshot.Load().tree.Get([]byte(keyName + name))
	if !ok {
		return Rule{}, false, nil
	}
	if e := value.(*entry); e.rule == nil {
		return Rule{}, true, e.err
	}
	return value.(*entry).rule.rule, true, nil
}

// Names returns the names of all rules, sorted.
func (s *RuleSet) Names() []string {
	snapshot := s.snapshot.Load()
	names := make([]string, 0, snapshot.count)
	snapshot.walk(keyName, func(e *entry) bool {
		names = append(names, e.name)
		return true
	})
	return names
}

// BrokenRule is a stored rule that cannot be compiled.
type BrokenRule struct {
	Name string
	Err  error
}

// Broken returns the rules that cannot be compiled, by name.
func (s *RuleSet) Broken() []BrokenRule {
	var broken []BrokenRule
	s.snapshot.Load().walk(keyName, func(e *entry) bool {
		if e.rule == nil {
			broken = append(broken, BrokenRule{Name: e.name, Err: e.err})
		}
		return true
	})
	return broken
}

// BindingRole returns the names of the rules that bind the role of that name, sorted. A
// rule that computes the name of a role is none of them.
func (s *RuleSet) BindingRole(role string) []string {
	var names []string
	s.snapshot.Load().walk(keyName, func(e *entry) bool {
		if e.rule != nil && e.rule.rule.BindType == BindRole && strings.EqualFold(e.rule.rule.BindName, role) {
			names = append(names, e.name)
		}
		return true
	})
	return names
}

// walk calls visit for the entries under a prefix, in the order of their keys,
// until it returns false.
func (s *snapshot) walk(prefix string, visit func(*entry) bool) {
	s.tree.Root().WalkPrefix([]byte(prefix), func(_ []byte, value any) bool {
		return !visit(value.(*entry))
	})
}
