// Package change is how a mount stores anything. Who changes the same entry comes before or
// after, storage is let finish what it began, and what is remembered of an entry is doubted
// however that ends.
package change

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/turn"
)

const (
	// ReadTimeout is how long one read of storage may take.
	ReadTimeout = 30 * time.Second
	// StoreTimeout is how long storage may take to store one entry. It is as long as
	// the host lets a request take by default. Whoever changes the same entry waits
	// until then, since what storage does with an entry that it did not answer about is
	// not known before.
	StoreTimeout = 90 * time.Second
	// StoreAllTimeout is how long storing several entries that belong together may take.
	StoreAllTimeout = 5 * time.Minute
)

// Changes are those of a mount, and the only way in which anything of it is stored.
type Changes struct {
	// Doubt makes whoever comes from then on read what is stored under key.
	Doubt func(key string)
	// Stored hears what was stored; nil where the entry was deleted.
	Stored func(key string, value []byte)

	// Turns are by key. Logins and reads take none.
	Turns turn.Keys
}

// Do lets run change the entries under keys: nobody stores what was read before somebody
// else's change, deleting included. Who changes others waits for nobody.
func (c *Changes) Do(ctx context.Context, s logical.Storage, keys []string, run func(s logical.Storage) error) error {
	release, err := c.Turns.Take(ctx, keys...)
	if err != nil {
		return err
	}
	defer release()
	return run(&storage{Storage: s, of: c, keys: keys})
}

// storage is that of whoever has the turn of some keys.
type storage struct {
	logical.Storage
	of   *Changes
	keys []string
}

// Get reads for no longer than others may be kept waiting.
func (s *storage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, ReadTimeout)
	defer cancel()
	return s.Storage.Get(ctx, key)
}

func (s *storage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	return s.store(ctx, entry.Key, entry.Value, func(ctx context.Context) error { return s.Storage.Put(ctx, entry) })
}

func (s *storage) Delete(ctx context.Context, key string) error {
	return s.store(ctx, key, nil, func(ctx context.Context) error { return s.Storage.Delete(ctx, key) })
}

// store stores under a context of its own: storage may commit what a client asked for
// and no longer waits for. What is remembered of the entry is dropped however that
// ends, since an error does not say that nothing was stored; and before, so that
// nothing older than this is believed while storage takes its time.
func (s *storage) store(ctx context.Context, key string, value []byte, do func(ctx context.Context) error) error {
	if !slices.Contains(s.keys, key) {
		return fmt.Errorf("%s is changed without its turn", key) // a mistake of this program
	}
	if err := ctx.Err(); err != nil {
		return err // nobody waits, and nothing was begun
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), StoreTimeout)
	defer cancel()
	s.of.Doubt(key)
	defer s.of.Doubt(key)
	err := do(ctx)
	if err == nil {
		s.of.Stored(key, value)
	}
	return err
}
