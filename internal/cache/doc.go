// Package cache remembers what was read from a place that is slow to read and is
// the truth: for a minute at most, never past a change that it is told of, and with
// one reading for all who wait for the same thing. It knows nothing of Vault; what
// reads is handed in.
package cache

import "time"

// How long what was read is believed. From ExpectAfter on it is read again while it
// goes on to be used, so that nobody waits; what is older than BelieveFor is not used
// before it was read again, and if that fails the caller gets the error.
const (
	ExpectAfter = 50 * time.Second
	BelieveFor  = 60 * time.Second
)

// RetryAfter is how long after a reading ahead of time that failed the next is tried.
const RetryAfter = 2 * time.Second
