package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

var errStorage = errors.New("storage is sealed")

// storage is a storage in memory that counts what is asked of it, and fails on
// demand.
type storage struct {
	logical.InmemStorage
	reads, writes atomic.Int64
	// failing is a key, or the beginning of keys, of which every operation
	// fails; "" is none.
	failing atomic.Value
	// failingPut is like failing, for writes alone.
	failingPut atomic.Value
	// around may come between the mount and its storage; nil does not.
	around atomic.Pointer[between]
}

// between does what a storage does with an operation: do reads, or commits. What it
// does before or instead, and what it answers, is up to it. op is get, list, put or
// delete.
type between func(ctx context.Context, op, key string, do func() error) error

func newStorage() *storage {
	s := &storage{}
	s.failing.Store("")
	s.failingPut.Store("")
	return s
}

func (s *storage) failPut(key string) { s.failingPut.Store(key) }

func (s *storage) fail(key string) { s.failing.Store(key) }

// does makes what come between the mount and its storage.
func (s *storage) does(what between) { s.around.Store(&what) }

// operate does an operation, with what comes between. An operation whose context has
// ended is not done, as in the host's storage.
func (s *storage) operate(ctx context.Context, op, key string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if around := s.around.Load(); around != nil {
		return (*around)(ctx, op, key, do)
	}
	return do()
}

func (s *storage) check(key string) error {
	if failing := s.failing.Load().(string); failing != "" && strings.HasPrefix(key, failing) {
		return errStorage
	}
	return nil
}

func (s *storage) Get(ctx context.Context, key string) (entry *logical.StorageEntry, err error) {
	s.reads.Add(1)
	if err := s.check(key); err != nil {
		return nil, err
	}
	err = s.operate(ctx, "get", key, func() (err error) {
		entry, err = s.InmemStorage.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entry, nil
}

func (s *storage) List(ctx context.Context, prefix string) (names []string, err error) {
	s.reads.Add(1)
	if err := s.check(prefix); err != nil {
		return nil, err
	}
	err = s.operate(ctx, "list", prefix, func() (err error) {
		names, err = s.InmemStorage.List(ctx, prefix)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

func (s *storage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.writes.Add(1)
	if err := s.check(entry.Key); err != nil {
		return err
	}
	if failing := s.failingPut.Load().(string); failing != "" && strings.HasPrefix(entry.Key, failing) {
		return errStorage
	}
	return s.operate(ctx, "put", entry.Key, func() error { return s.InmemStorage.Put(ctx, entry) })
}

func (s *storage) Delete(ctx context.Context, key string) error {
	s.writes.Add(1)
	if err := s.check(key); err != nil {
		return err
	}
	return s.operate(ctx, "delete", key, func() error { return s.InmemStorage.Delete(ctx, key) })
}

// put stores an entry as somebody else wrote it.
func (s *storage) put(t testing.TB, key, value string) {
	t.Helper()
	if err := s.InmemStorage.Put(t.Context(), &logical.StorageEntry{Key: key, Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

// text returns an entry as it is stored, "" if there is none.
func (s *storage) text(t *testing.T, key string) string {
	t.Helper()
	entry, err := s.InmemStorage.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if entry == nil {
		return ""
	}
	return string(entry.Value)
}
