package cluster

import (
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/token"
)

// How often a cluster's keys are read: because a token names one that is not known,
// which anybody can make a token do, or because there are none yet; and because they may
// have been withdrawn.
const (
	KeysAtMostEvery  = time.Second
	KeysAtLeastEvery = 5 * time.Minute
)

// keyring is what is known of a cluster's keys, and which readings of them there were.
// Readings have numbers, from 1 on: what a reading found says something about a key that
// somebody asks for only if it began later than he came. It asks nobody.
type keyring struct {
	mu    sync.Mutex
	keys  token.Keys
	begun int       // the last reading that began
	at    time.Time // when that was
	ended int       // the last reading that ended
	good  int       // the last reading that found keys; 0 if there was none yet
	since time.Time // when that one began
	err   error     // why the last reading that ended found none
}

// KeysState is what is known of the keys at a moment.
type KeysState struct {
	Known   int       // keys
	Since   time.Time // when the reading that found them began; zero if there was none
	Reading bool      // one is under way
	Err     error     // of the last reading; nil if it found keys
}

// come is called by who asks, and returns what is known and the number of the last
// reading that says nothing about what it asks for. old says that it is time to look
// whether a key was withdrawn.
func (r *keyring) come(now time.Time) (keys token.Keys, came int, old bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old = r.good > 0 && now.Sub(r.since) >= KeysAtLeastEvery && now.Sub(r.at) >= KeysAtMostEvery
	return r.keys, r.begun, old
}

// after tells how the readings after the one numbered came have ended: found if one of
// them found keys, which are returned; failed if the last of them, whose number is told too,
// did not.
func (r *keyring) after(came int) (keys token.Keys, found bool, last int, failed error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.good > came:
		return r.keys, true, r.ended, nil
	case r.ended > came:
		return r.keys, false, r.ended, r.err
	}
	return r.keys, false, r.ended, nil
}

// wait is how long the next reading has to wait.
func (r *keyring) wait(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun == 0 {
		return 0
	}
	return max(0, KeysAtMostEvery-now.Sub(r.at))
}

// begin is told of a reading that begins, and returns its number.
func (r *keyring) begin(now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	r.at = now
	return r.begun
}

// end is told of what a reading found. Keys from before stay if it failed: an outage
// makes no key wrong.
func (r *keyring) end(number int, keys token.Keys, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = number
	if r.err = err; err == nil {
		r.keys, r.good, r.since = keys, number, r.at
	}
}

func (r *keyring) state() KeysState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return KeysState{Known: r.keys.Len(), Since: r.since, Reading: r.begun > r.ended, Err: r.err}
}
