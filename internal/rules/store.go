// Package rules holds the compiled binding rules of a mount, and keeps them what
// storage holds. It knows how rules are bound, and of the host nothing but how to list
// and to get entries; how an entry becomes a rule is handed in.
package rules

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/cache"
)

// Storage is what rules are read from. An entry that is not there is nil, and no error.
type Storage interface {
	List(ctx context.Context, prefix string) ([]string, error)
	Get(ctx context.Context, key string) (*logical.StorageEntry, error)
}

// spareNames is how many more names can be stale than there are rules.
const spareNames = 1024

// Options are what a store is made of.
type Options struct {
	// Prefix begins the keys of rules; the rest is the name in lower case.
	Prefix string
	// Decode reads an entry as it is stored. An entry that it cannot read matches nothing.
	Decode func(name string, stored []byte) (binding.Rule, error)
	// Timeout is how long one read of storage may take.
	Timeout time.Duration
	Now     func() time.Time
	// Unusable is told of a stored rule that cannot be used.
	Unusable func(name string, err error)
	// Read is told of each reading of a rule.
	Read func()
}

// Store holds the rules. They are read when they are first needed, which logins that
// name a role never do. After that a rule that was changed, here or on another node, is
// read again by itself, and about once a minute, while they are used, storage is looked
// at for what nobody told of: see look.
type Store struct {
	options Options
	// readings has one reading at a time, so that what is read first is also applied
	// first.
	readings *cache.Group[struct{}, struct{}]

	mu  sync.Mutex
	set *binding.RuleSet // replaced where all rules are forgotten
	// reading tells whether a reading is under way.
	reading bool
	// lookedAt is when the last look that went well began; zero before the first.
	lookedAt time.Time
	// triedAt is when a look that nobody waited for began last.
	triedAt time.Time
	// changes counts what was said to have changed. stale are names to be read; one is
	// taken out once a reading that began after its last change was applied, and not
	// before.
	changes uint64
	stale   map[string]change
	limit   int // of the number of stale names
	// cursor is the last name that a look read because it was its turn.
	cursor string
	// confirmed are the rules that granted something of late, with when they were last
	// read for that.
	confirmed map[string]time.Time
}

// change is what changed of a name that is stale.
type change struct {
	// first is the oldest change that no reading was applied for: whoever asked after it
	// has to wait for one, however many came since. last is the newest: a reading that
	// began before it does not settle the name.
	first, last uint64
	// unread names are not in memory as storage once had them either, so nobody can do
	// without reading them.
	unread bool
}

// New returns a store that reads nothing before it is asked. Its readings end with ctx.
func New(ctx context.Context, options Options) *Store {
	s := &Store{options: options, readings: cache.NewGroup[struct{}, struct{}](ctx, 0)}
	s.forget()
	return s
}

// forget makes the store as it was before it read anything.
func (s *Store) forget() {
	s.set = binding.NewRuleSet()
	s.lookedAt, s.cursor = time.Time{}, ""
	s.stale, s.limit = map[string]change{}, spareNames
	s.confirmed = map[string]time.Time{}
}

// Changed says that a rule was written, or may have been. Who gets the rules from now
// on gets this one as it is in storage after now.
func (s *Store) Changed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.reading && s.lookedAt.IsZero() {
		return // all will be read
	}
	s.mark(strings.ToLower(name), false)
}

// mark makes a name stale.
func (s *Store) mark(name string, unread bool) {
	s.changes++
	was, stale := s.stale[name]
	if !stale {
		was.first = s.changes
	}
	s.stale[name] = change{first: was.first, last: s.changes, unread: unread || was.unread}
	if len(s.stale) > s.limit {
		// More than there can be rules: names come and go, nobody asks for the rules, and
		// their number would grow for ever.
		s.forget()
	}
}

// Len is how many rules are in memory.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set.Len()
}

// Get returns the rules. What was said to have changed before the call is as it is in
// storage now, and the rest was looked at less than cache.BelieveFor ago. The error is
// storage's, or wraps cache.ErrGaveUp.
func (s *Store) Get(ctx context.Context, source Storage) (*binding.RuleSet, error) {
	asked := since{at: s.options.Now()}
	s.mu.Lock()
	asked.changes = s.changes
	set, ahead := s.ready(asked, asked.at)
	s.mu.Unlock()
	for {
		if ahead {
			s.readings.Begin(struct{}{}, s.readFrom(source))
		}
		if set != nil {
			return set, nil
		}
		if _, err := s.readings.Do(ctx, struct{}{}, s.readFrom(source)); err != nil {
			return nil, err
		}
		now := s.options.Now()
		s.mu.Lock()
		set, ahead = s.ready(asked, now)
		s.mu.Unlock()
	}
}

// since is when somebody asked for the rules: after how many changes, and at what time.
type since struct {
	changes uint64
	at      time.Time
}

// ready returns the rules if who asked at that time may have them as they are now, and
// whether to look at storage meanwhile. It is called with the lock held.
func (s *Store) ready(asked since, now time.Time) (set *binding.RuleSet, ahead bool) {
	if s.lookedAt.IsZero() {
		return nil, false
	}
	for _, c := range s.stale {
		if c.unread || c.first <= asked.changes {
			return nil, false
		}
	}
	age := now.Sub(s.lookedAt)
	if age >= cache.BelieveFor && s.lookedAt.Before(asked.at) {
		return nil, false
	}
	if age >= cache.ExpectAfter && now.Sub(s.triedAt) >= cache.RetryAfter {
		s.triedAt, ahead = now, true
	}
	return s.set, ahead
}

// Confirm is told which rules granted something, by name. Where there are more rules
// than a look reads, those are read again that were not read within cache.BelieveFor,
// and the rules are to be asked once more.
func (s *Store) Confirm(ctx context.Context, source Storage, names []string) (again bool, err error) {
	if !s.doubt(names) {
		return false, nil
	}
	_, err = s.Get(ctx, source)
	return true, err
}

// doubt makes those of names stale that are to be read again, and tells whether any is.
func (s *Store) doubt(names []string) (doubted bool) {
	if len(names) == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set.Len() <= readsOfALook {
		return false
	}
	now := s.options.Now()
	for _, name := range names {
		if at, ok := s.confirmed[name]; ok && now.Sub(at) < cache.BelieveFor {
			continue
		}
		s.confirmed[name], doubted = now, true
		s.mark(name, false)
	}
	return doubted
}
