package config

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"
)

// Read reads the stored configuration; nil if there is none.
func Read(ctx context.Context, s logical.Storage) (*Entry, error) {
	entry, err := s.Get(ctx, Path)
	if err != nil || entry == nil {
		return nil, err
	}
	return Decode(entry)
}

// Decode reads an entry of storage.
func Decode(entry *logical.StorageEntry) (*Entry, error) {
	config := &Entry{}
	if err := entry.DecodeJSON(config); err != nil {
		return nil, fmt.Errorf("the stored configuration cannot be read: %w", err)
	}
	return config, nil
}

// Decoded is a stored configuration; nil if there is none, or it cannot be read,
// which must not keep a new one from being written.
func Decoded(entry *logical.StorageEntry) *Entry {
	config := &Entry{}
	if entry == nil || entry.DecodeJSON(config) != nil {
		return nil
	}
	return config
}
