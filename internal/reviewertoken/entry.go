// Package reviewertoken keeps the reviewer's token of a mount good: it decides when another one
// is asked for, what becomes of the one before, and what a failure comes to. It is told the time
// and who asks the cluster, and knows neither requests of Vault's nor the network.
package reviewertoken

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Path is where the token is stored, apart from the configuration: it changes by itself, and
// whoever writes the configuration meanwhile must not bring an older one back.
const Path = "reviewer/token"

// Want is what the configuration says of the reviewer.
type Want struct {
	// Account is namespace/name of the service account that tokens are of; empty where the
	// mount is to make none.
	Account string
	// Host is the API server that is asked, as it is configured. A token goes to no other.
	Host string
	// Life is how long tokens are to be good.
	Life time.Duration
	// First is a token that somebody wrote, by which the next one is asked for.
	First string
}

// Entry is what is stored. A token is good from Began on for as long as Life, by the clock of
// Vault: so the clock of the API server may be another, as long as it runs alike.
type Entry struct {
	Account string        `json:"account"`
	Host    string        `json:"host"`
	Token   string        `json:"token,omitempty"`
	Began   time.Time     `json:"began,omitzero"`
	Life    time.Duration `json:"life,omitempty"` // nanoseconds
	// First is the digest of the token that it was asked for by when nobody had one: written
	// again, such as by Terraform, it is known and changes nothing.
	First string `json:"first,omitempty"`
	// Attempt is when another token was asked for last without success, or is being asked
	// for; it is stored before, so that whoever takes over knows of it.
	Attempt time.Time `json:"attempt,omitzero"`
	// Failure is why there was no success; empty where there was, or nobody knows yet.
	Failure string `json:"failure,omitempty"`
}

// Read reads what is stored; nil if there is nothing.
func Read(ctx context.Context, s logical.Storage) (*Entry, error) {
	stored, err := s.Get(ctx, Path)
	if err != nil || stored == nil {
		return nil, err
	}
	e := &Entry{}
	if err := stored.DecodeJSON(e); err != nil {
		return nil, fmt.Errorf("the reviewer's token that is stored cannot be read: %w", err)
	}
	return e, nil
}

func put(ctx context.Context, s logical.Storage, e *Entry) error {
	stored, err := logical.StorageEntryJSON(Path, e)
	if err != nil {
		return err
	}
	return s.Put(ctx, stored)
}

// Leave takes away what is stored, where the mount is to make no tokens.
func Leave(ctx context.Context, s logical.Storage) error {
	stored, err := s.Get(ctx, Path)
	if err != nil || stored == nil {
		return err
	}
	return s.Delete(ctx, Path)
}

// Serves tells whether there is a token of the wanted account for the wanted API server. It
// may have ended.
func (e *Entry) Serves(w Want) bool { return e != nil && e.Token != "" && e.isFor(w) }

func (e *Entry) isFor(w Want) bool { return e != nil && e.Account == w.Account && e.Host == w.Host }

// Ends is when the token ends.
func (e *Entry) Ends() time.Time { return e.Began.Add(e.Life) }

// RenewAt is when another one is asked for: after four fifths of its life.
func (e *Entry) RenewAt() time.Time { return e.Began.Add(e.Life / 5 * 4) }

// Left is how long the token is still good; nothing is left of one that has ended.
func (e *Entry) Left(now time.Time) time.Duration { return max(0, e.Ends().Sub(now)) }

// Troubled tells whether somebody has to know that the token was not replaced: half of its
// life is over, or there is none.
func (e *Entry) Troubled(now time.Time) bool {
	return e != nil && e.Failure != "" && (e.Token == "" || !now.Before(e.Began.Add(e.Life/2)))
}

// digest knows a token again without keeping it.
func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
