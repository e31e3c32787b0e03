package rules

import (
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"golang.org/x/sync/errgroup"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/cache"
)

const (
	// parallelReads is how many stored rules are read at a time where somebody waits for
	// them; each read is a round trip to the host's process.
	parallelReads = 16
	// parallelLooks is the same for those that are only looked at.
	parallelLooks = 4
	// readsOfALook is how many of the rules that nobody said anything of a look reads.
	readsOfALook = 1000
)

func (s *Store) readFrom(source Storage) cache.Read[struct{}] {
	return cache.Read[struct{}]{From: func(ctx context.Context) (struct{}, error) {
		set := s.begin()
		defer s.end()
		err := s.look(ctx, source, set)
		if err == nil {
			err = s.refresh(ctx, source, set)
		}
		return struct{}{}, err
	}}
}

// begin returns the set that a reading is for. Where it is forgotten meanwhile, the
// reading comes to nothing.
func (s *Store) begin() *binding.RuleSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = true
	return s.set
}

func (s *Store) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
}

// look asks storage about once a minute for what nobody told of. The list shows names
// that came and went. To read every rule each minute would be dear where there are
// many, so it reads no more than readsOfALook of them, in turn; where there are more,
// Confirm sees to those that grant something.
func (s *Store) look(ctx context.Context, source Storage, set *binding.RuleSet) error {
	begun, due := s.lookDue()
	if !due {
		return nil
	}
	listed, err := s.list(ctx, source)
	if err != nil {
		return err
	}
	turn := s.compare(set, listed)
	if err := s.each(ctx, parallelLooks, turn, func(ctx context.Context, name string) error {
		return s.readOne(ctx, source, set, name)
	}); err != nil {
		return err
	}
	s.looked(set, begun)
	return nil
}

func (s *Store) lookDue() (now time.Time, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = s.options.Now()
	return now, s.lookedAt.IsZero() || now.Sub(s.lookedAt) >= cache.ExpectAfter
}

func (s *Store) list(ctx context.Context, source Storage) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	names, err := source.List(ctx, s.options.Prefix)
	slices.Sort(names)
	return names, err
}

// compare makes stale what came or went, and returns the known names whose turn it is.
func (s *Store) compare(set *binding.RuleSet, listed []string) []string {
	known := set.Names()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set != set {
		return nil
	}
	s.limit = spareNames + len(listed) + len(known)
	for name := range differing(known, listed) {
		s.mark(name, true)
	}
	from := sort.SearchStrings(known, s.cursor+"\x00") // the first after it
	turn := slices.Concat(known[from:], known[:from])
	turn = turn[:min(readsOfALook, len(turn))]
	if len(turn) > 0 {
		s.cursor = turn[len(turn)-1]
	}
	return turn
}

// differing yields what only one of two sorted lists has.
func differing(a, b []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, lists := range [][2][]string{{a, b}, {b, a}} {
			for _, name := range lists[0] {
				if _, found := slices.BinarySearch(lists[1], name); !found && !yield(name) {
					return
				}
			}
		}
	}
}

func (s *Store) looked(set *binding.RuleSet, begun time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set != set {
		return
	}
	s.lookedAt = begun
	maps.DeleteFunc(s.confirmed, func(_ string, at time.Time) bool { return begun.Sub(at) >= cache.BelieveFor })
}

// refresh reads what is stale. Names that could not be read stay stale, and what was
// read stays read: who tries again goes on where this ended.
func (s *Store) refresh(ctx context.Context, source Storage, set *binding.RuleSet) error {
	s.mu.Lock()
	stale := maps.Clone(s.stale)
	if s.set != set {
		stale = nil
	}
	s.mu.Unlock()
	return s.each(ctx, parallelReads, slices.Sorted(maps.Keys(stale)), func(ctx context.Context, name string) error {
		err := s.readOne(ctx, source, set, name)
		if err == nil {
			s.settle(set, name, stale[name])
		}
		return err
	})
}

// settle takes a name that was read out of those that are stale, unless it was changed
// again since the reading began.
func (s *Store) settle(set *binding.RuleSet, name string, read change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, stale := s.stale[name]
	switch {
	case s.set != set || !stale:
	case now.last == read.last:
		delete(s.stale, name)
	default:
		s.stale[name] = change{first: read.last + 1, last: now.last}
	}
}

func (s *Store) each(ctx context.Context, parallel int, names []string, do func(ctx context.Context, name string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, name := range names {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err // another failed, which is the error that counts
			}
			return do(ctx, name)
		})
	}
	return group.Wait()
}

// readOne makes the set hold what storage holds. A rule that cannot be read or
// compiled matches nothing; the others go on to count.
func (s *Store) readOne(ctx context.Context, source Storage, set *binding.RuleSet, name string) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	s.options.Read()
	entry, err := source.Get(ctx, s.options.Prefix+name)
	switch {
	case err != nil:
		return err
	case entry == nil:
		set.Delete(name)
	default:
		s.put(set, name, entry.Value)
	}
	return nil
}

// put does nothing where the rule is the one that is known.
func (s *Store) put(set *binding.RuleSet, name string, stored []byte) {
	known, found, broken := set.Find(name)
	rule, err := s.options.Decode(name, stored)
	if err == nil && found && broken == nil && rule == known {
		return
	}
	var compiled *binding.CompiledRule
	if err == nil {
		compiled, err = binding.Compile(rule)
	}
	switch {
	case err == nil:
		set.Put(compiled)
	case broken == nil || broken.Error() != err.Error():
		s.options.Unusable(name, err)
		set.PutBroken(name, err)
	}
}
