package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/role"
)

const (
	// storageReadTimeout is how long one read of storage may take.
	storageReadTimeout = 30 * time.Second
	// storeTimeout is how long storage may take to store one entry. It is as long as
	// the host lets a request take by default. Whoever changes the same entry waits
	// until then, since what storage does with an entry that it did not answer about is
	// not known before.
	storeTimeout = 90 * time.Second
	// storeAllTimeout is how long storing several entries that belong together may take.
	storeAllTimeout = 5 * time.Minute
)

// change lets run change the entries under keys, and is the only way in which anything
// is stored: who changes the same entry, deleting it included, comes before or after,
// so nobody stores what was read before somebody else's change. Who changes others
// waits for nobody.
//
// A role is checked against require_audience of the configuration without that one's
// turn: a role without an audience that is written at the same time as the setting is
// refused at login.
func (b *backend) change(
	ctx context.Context, s logical.Storage, keys []string, run func(s logical.Storage) (*logical.Response, error),
) (*logical.Response, error) {
	release, err := b.turns.Take(ctx, keys...)
	if err != nil {
		return nil, err
	}
	defer release()
	return run(&changing{Storage: s, b: b, keys: keys})
}

// changing is storage for whoever has the turn of some keys.
type changing struct {
	logical.Storage
	b    *backend
	keys []string
}

// Get reads for no longer than others may be kept waiting.
func (c *changing) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, storageReadTimeout)
	defer cancel()
	return c.Storage.Get(ctx, key)
}

func (c *changing) Put(ctx context.Context, entry *logical.StorageEntry) error {
	return c.store(ctx, entry.Key, entry.Value, func(ctx context.Context) error { return c.Storage.Put(ctx, entry) })
}

func (c *changing) Delete(ctx context.Context, key string) error {
	return c.store(ctx, key, nil, func(ctx context.Context) error { return c.Storage.Delete(ctx, key) })
}

// store stores under a context of its own: storage may commit what a client asked for
// and no longer waits for. What is remembered of the entry is dropped however that
// ends, since an error does not say that nothing was stored; and before, so that
// nothing older than this is believed while storage takes its time.
func (c *changing) store(ctx context.Context, key string, value []byte, do func(ctx context.Context) error) error {
	if !slices.Contains(c.keys, key) {
		return fmt.Errorf("%s is changed without its turn", key) // a mistake of this program
	}
	if err := ctx.Err(); err != nil {
		return err // nobody waits, and nothing was begun
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	c.b.doubt(key)
	defer c.b.doubt(key)
	err := do(ctx)
	if err == nil && key == config.Path {
		c.b.cluster.Stored(value)
	}
	return err
}

// doubt makes whoever comes from now on read what is stored under key.
func (b *backend) doubt(key string) {
	switch {
	case key == config.Path:
		b.cluster.Doubt()
	case strings.HasPrefix(key, role.Prefix):
		b.roles.Drop(strings.TrimPrefix(key, role.Prefix))
	case strings.HasPrefix(key, rulePrefix):
		b.rules.Changed(strings.TrimPrefix(key, rulePrefix))
	}
}
