package cluster

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/cache"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/pemtext"
	"vault-plugin-auth-kubernetes/internal/reviewertoken"
)

// Current is the cluster of a mount as the stored configuration has it.
type Current struct {
	*Options

	ctx  context.Context // ends with the mount, and not with a request
	read *cache.Cache[logical.Storage, Cluster]
	// tokens has the reviewer's token that the mount made.
	tokens *cache.Cache[logical.Storage, reviewertoken.Entry]

	// made is the cluster that was made last. While the configuration is stored as
	// it was, and the pod's CA is the same, it is not made anew.
	made   atomic.Pointer[Cluster]
	making sync.Mutex // is held while one is made, which asks nobody
}

// NewCurrent makes one whose readings of storage take no longer than timeout. What it has
// in the background ends with ctx.
func NewCurrent(ctx context.Context, timeout time.Duration, options *Options) *Current {
	c := &Current{Options: options, ctx: ctx}
	c.tokens = cache.New(ctx, timeout, options.Now, c.loadOwn)
	c.read = cache.New(ctx, timeout, options.Now, c.load)
	return c
}

// Get returns what logins use now, or nil if the mount has no
// configuration. A pod CA that was replaced on disk is picked up here.
func (c *Current) Get(ctx context.Context, s logical.Storage) (*Cluster, error) {
	now, err := c.read.Get(ctx, s, config.Path)
	if err == nil && now != nil && c.podCAChanged(now) {
		c.Doubt()
		now, err = c.read.Get(ctx, s, config.Path)
	}
	if err != nil || now == nil {
		return nil, err
	}
	if err := c.readOwn(ctx, s, now); err != nil {
		return nil, err
	}
	return now, nil
}

// Peek returns what is remembered, if anything is.
func (c *Current) Peek() (*Cluster, bool) { return c.read.Peek(config.Path) }

// Doubt makes whoever comes from now on read what is stored.
func (c *Current) Doubt() { c.read.Drop(config.Path) }

// Stored hears what was stored. What was made of something else is closed.
func (c *Current) Stored(value []byte) {
	if made := c.made.Load(); made != nil && made.stored != sha256.Sum256(value) {
		c.Close()
	}
}

// Close makes the next login that reads the configuration make a cluster of it anew.
// Logins in flight end on the one that they began with.
func (c *Current) Close() { c.replace(nil) }

func (c *Current) replace(with *Cluster) {
	if before := c.made.Swap(with); before != nil {
		before.close()
	}
}

func (c *Current) podCAChanged(made *Cluster) bool {
	if made.PodCA == "" {
		return false
	}
	current, err := c.PodCA()
	// A bundle that is gone or half-written is no reason to give up one that
	// worked.
	return err == nil && current != made.PodCA && pemtext.HasCertificate(current)
}

// load is the cache's loader. A configuration that cannot work is an
// error each time, so that it heals as soon as its cause does.
func (c *Current) load(ctx context.Context, s logical.Storage, _ string, _ *Cluster) (*Cluster, error) {
	c.Loaded()
	entry, err := s.Get(ctx, config.Path)
	if err != nil || entry == nil {
		return nil, err
	}
	stored := sha256.Sum256(entry.Value)
	c.making.Lock() // of several that read it at once, one makes a cluster
	defer c.making.Unlock()
	if made := c.made.Load(); made != nil && made.stored == stored && !c.podCAChanged(made) {
		return made, nil
	}
	settings, err := config.Decode(entry)
	if err != nil {
		return nil, err
	}
	made, err := c.make(c.ctx, settings)
	if err != nil {
		return nil, err
	}
	made.stored = stored
	c.replace(made)
	return made, nil
}
