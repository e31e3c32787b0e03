package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"vault-plugin-auth-kubernetes/internal/binding"
)

const rulePrefix = "binding-rule/"

// parallelRuleReads is how many stored rules are read at a time; each read is a
// round trip to the host's process.
const parallelRuleReads = 16

// ruleEntry is a binding rule as stored under binding-rule/<lower-case name>.
type ruleEntry struct {
	Description string `json:"description"`
	Selector    string `json:"selector"`
	BindType    string `json:"bind_type"`
	BindName    string `json:"bind_name"`

	UseServiceNameAnnotation bool `json:"use_service_name_annotation,omitempty"`
	// ImportedFrom is the auth method of Consul's that the rule was taken over from;
	// empty for a rule of the mount's own.
	ImportedFrom string `json:"imported_from,omitempty"`
}

func (e *ruleEntry) rule(name string) binding.Rule {
	return binding.Rule{
		Name:        name,
		Description: e.Description,
		Selector:    e.Selector,
		BindType:    binding.BindType(e.BindType),
		BindName:    e.BindName,

		UseServiceNameAnnotation: e.UseServiceNameAnnotation,
	}
}

func ruleKey(name string) string { return rulePrefix + strings.ToLower(name) }

// errUnreadable is wrapped by errors about what is stored, and not about storage.
var errUnreadable = errors.New("the stored binding rule cannot be read")

// readRule reads a stored rule; nil if there is none.
func readRule(ctx context.Context, s logical.Storage, name string) (*ruleEntry, error) {
	entry, err := s.Get(ctx, ruleKey(name))
	if err != nil || entry == nil {
		return nil, err
	}
	r := &ruleEntry{}
	if err := entry.DecodeJSON(r); err != nil {
		return nil, fmt.Errorf("%w: %q: %w", errUnreadable, name, err)
	}
	return r, nil
}

// ruleStore holds the compiled rules of a mount. They are loaded when they are
// first needed, which logins that name a role never do; after that a rule that was
// written, here or on another node, is read again by itself.
type ruleStore struct {
	log    func() hclog.Logger
	onRead func() // is told of each reading of a rule; may be nil

	// turn is held by whoever reads storage, so that what is read first is also
	// applied first. It is a channel to be waited for with a deadline.
	turn chan struct{}

	mu     sync.Mutex
	loaded *binding.RuleSet
	stale  map[string]struct{} // names to be read again
}

func newRuleStore(log func() hclog.Logger) *ruleStore {
	return &ruleStore{log: log, turn: make(chan struct{}, 1), stale: map[string]struct{}{}}
}

// changed says that a rule was written.
func (r *ruleStore) changed(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale[strings.ToLower(name)] = struct{}{}
}

// get returns the rules as they are in storage now.
func (r *ruleStore) get(ctx context.Context, s logical.Storage) (*binding.RuleSet, error) {
	if set, stale := r.current(); set != nil && !stale {
		return set, nil
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	set, stale := r.current()
	if set == nil {
		return r.load(ctx, s)
	}
	if stale {
		return set, r.refresh(ctx, s, set)
	}
	return set, nil
}

func (r *ruleStore) current() (set *binding.RuleSet, stale bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded, len(r.stale) > 0
}

// takeStale returns the names to read again, which are then up to the caller.
func (r *ruleStore) takeStale() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := slices.Collect(maps.Keys(r.stale))
	clear(r.stale)
	return names
}

// count is how many rules are in memory.
func (r *ruleStore) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loaded == nil {
		return 0
	}
	return r.loaded.Len()
}

// load reads all rules. What is written meanwhile is stale and read again.
func (r *ruleStore) load(ctx context.Context, s logical.Storage) (*binding.RuleSet, error) {
	r.takeStale()
	names, err := s.List(ctx, rulePrefix)
	if err != nil {
		return nil, err
	}
	set := binding.NewRuleSet()
	if err := r.read(ctx, s, set, names); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = set
	return set, nil
}

// refresh reads the rules again that were written. If that fails they stay stale.
func (r *ruleStore) refresh(ctx context.Context, s logical.Storage, set *binding.RuleSet) error {
	names := r.takeStale()
	err := r.read(ctx, s, set, names)
	if err != nil {
		for _, name := range names {
			r.changed(name)
		}
	}
	return err
}

func (r *ruleStore) read(ctx context.Context, s logical.Storage, set *binding.RuleSet, names []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelRuleReads)
	for _, name := range names {
		group.Go(func() error { return r.readOne(ctx, s, set, name) })
	}
	return group.Wait()
}

// readOne makes the set hold what storage holds. A rule that cannot be read or
// compiled matches nothing, and says so in the log; the others go on to count.
func (r *ruleStore) readOne(ctx context.Context, s logical.Storage, set *binding.RuleSet, name string) error {
	if r.onRead != nil {
		r.onRead()
	}
	entry, err := readRule(ctx, s, name)
	if err != nil && !errors.Is(err, errUnreadable) {
		return err
	}
	if err == nil && entry == nil {
		set.Delete(name)
		return nil
	}
	var compiled *binding.CompiledRule
	if err == nil {
		compiled, err = binding.Compile(entry.rule(name))
	}
	if err != nil {
		r.log().Warn("a stored binding rule cannot be used and matches nothing", "rule", name, "error", err)
		set.PutBroken(name, err)
		return nil
	}
	set.Put(compiled)
	return nil
}
