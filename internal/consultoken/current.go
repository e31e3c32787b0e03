package consultoken

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/cache"
)

// Path is where the configuration is stored, and the path that writes it.
const Path = "consul/config"

// Current is the mint of a mount as the stored configuration has it.
type Current struct {
	options Options
	ctx     context.Context // ends with the mount, and not with a request
	read    *cache.Cache[logical.Storage, Mint]

	mu     sync.Mutex // is held while one is made, which asks nobody
	made   *Mint      // the last one; used on while the configuration is stored as it was
	stored [sha256.Size]byte
}

// NewCurrent makes one whose readings of storage take no longer than timeout. What its
// mints have in the background ends with ctx.
func NewCurrent(ctx context.Context, timeout time.Duration, now func() time.Time, o Options) *Current {
	c := &Current{options: o, ctx: ctx}
	c.read = cache.New(ctx, timeout, now, c.load)
	return c
}

// Get returns the mint, or nil if the mount has no Consul.
func (c *Current) Get(ctx context.Context, s logical.Storage) (*Mint, error) {
	return c.read.Get(ctx, s, Path)
}

// Doubt makes whoever comes from now on read what is stored.
func (c *Current) Doubt() { c.read.Drop(Path) }

// Close drops what is kept of the mint that was made last.
func (c *Current) Close() {
	c.Doubt()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replace(nil)
}

func (c *Current) load(ctx context.Context, s logical.Storage, _ string, _ *Mint) (*Mint, error) {
	entry, err := s.Get(ctx, Path)
	if err != nil || entry == nil {
		return nil, err
	}
	stored := sha256.Sum256(entry.Value)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made != nil && c.stored == stored {
		return c.made, nil
	}
	e, err := Decode(entry)
	if err != nil {
		return nil, err
	}
	made, err := NewMint(c.ctx, e, c.options)
	if err != nil {
		return nil, fmt.Errorf("the stored configuration of Consul cannot be used: %w", err)
	}
	c.replace(made)
	c.stored = stored
	return made, nil
}

// replace closes the connections of the one before. Who uses it still ends there.
func (c *Current) replace(with *Mint) {
	if c.made != nil {
		c.made.Close()
	}
	c.made = with
}

// Read reads the stored configuration; nil if there is none.
func Read(ctx context.Context, s logical.Storage) (*Entry, error) {
	entry, err := s.Get(ctx, Path)
	if err != nil || entry == nil {
		return nil, err
	}
	return Decode(entry)
}

// Decode reads an entry.
func Decode(entry *logical.StorageEntry) (*Entry, error) {
	e := &Entry{}
	if err := entry.DecodeJSON(e); err != nil {
		return nil, fmt.Errorf("the stored configuration of Consul cannot be read: %w", err)
	}
	return e, nil
}
