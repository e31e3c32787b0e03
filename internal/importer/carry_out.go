package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"vault-plugin-auth-kubernetes/internal/change"
)

// plannedWrite is one entry that an import is going to store or delete.
type plannedWrite struct {
	key    string
	entry  *logical.StorageEntry // nil to delete it
	before *logical.StorageEntry // nil if there is none
}

// readOnce is storage of which each entry is read once, so that what a plan was made of,
// and what it is compared with before it is carried out, are the same.
type readOnce struct {
	logical.Storage
	entries map[string]*logical.StorageEntry
}

func newReadOnce(s logical.Storage) *readOnce {
	return &readOnce{Storage: s, entries: map[string]*logical.StorageEntry{}}
}

func (r *readOnce) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if entry, ok := r.entries[key]; ok {
		return entry, nil
	}
	entry, err := r.Storage.Get(ctx, key)
	if err == nil {
		r.entries[key] = entry
	}
	return entry, err
}

// add plans a write, or with nil a deletion. What is stored like that already is not
// written again.
func (p *Plan) add(ctx context.Context, key string, value any) error {
	w := plannedWrite{key: key}
	var err error
	if value != nil {
		if w.entry, err = logical.StorageEntryJSON(key, value); err != nil {
			return err
		}
	}
	if w.before, err = p.stored.Get(ctx, key); err != nil {
		return err
	}
	p.writes = append(p.writes, w)
	return nil
}

// keys are those of all planned writes.
func (p *Plan) keys() map[string]bool {
	keys := make(map[string]bool, len(p.writes))
	for _, w := range p.writes {
		keys[w.key] = true
	}
	return keys
}

// changes tells whether the write makes a difference.
func (w plannedWrite) changes() bool { return !sameEntry(w.entry, w.before) }

func sameEntry(a, b *logical.StorageEntry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return bytes.Equal(a.Value, b.Value)
}

// errChangedMeanwhile answers an import whose plan was made of what is not so any more.
var errChangedMeanwhile = Refusal{"somebody else wrote to the mount meanwhile; import again"}

// CarryOut writes what was planned, if all that it was planned from is still as it was.
func (m *Mount) CarryOut(ctx context.Context, plan *Plan) error {
	keys := slices.Collect(maps.Keys(plan.keys()))
	return m.Change(ctx, m.Storage, keys, func(s logical.Storage) error {
		if err := verifyUnchanged(ctx, s, plan.writes); err != nil {
			return err
		}
		changes := slices.DeleteFunc(slices.Clone(plan.writes), func(w plannedWrite) bool { return !w.changes() })
		return store(ctx, s, changes)
	})
}

// parallelReads is how many entries are compared at a time.
const parallelReads = 16

func verifyUnchanged(ctx context.Context, s logical.Storage, writes []plannedWrite) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for _, w := range writes {
		group.Go(func() error {
			now, err := s.Get(ctx, w.key)
			if err == nil && !sameEntry(now, w.before) {
				err = errChangedMeanwhile
			}
			return err
		})
	}
	return group.Wait()
}

// store writes all entries, also where the client that asked for it goes away
// meanwhile. If one cannot be written, those before it are put back as they were, for a
// plugin has no transactions.
func store(ctx context.Context, s logical.Storage, writes []plannedWrite) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), change.StoreAllTimeout)
	defer cancel()
	for i, w := range writes {
		if err := put(storing, s, w.key, w.entry); err != nil {
			return errors.Join(err, undo(ctx, s, writes[:i+1]))
		}
	}
	return nil
}

func undo(ctx context.Context, s logical.Storage, writes []plannedWrite) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), change.StoreAllTimeout)
	defer cancel()
	var errs []error
	for _, w := range slices.Backward(writes) {
		if err := put(ctx, s, w.key, w.before); err != nil {
			errs = append(errs, fmt.Errorf("%s could not be put back: %w", w.key, err))
		}
	}
	return errors.Join(errs...)
}

func put(ctx context.Context, s logical.Storage, key string, entry *logical.StorageEntry) error {
	if entry == nil {
		return s.Delete(ctx, key)
	}
	return s.Put(ctx, entry)
}
