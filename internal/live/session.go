// Package live verifies tokens by the keys of a cluster and by a watch that knows what of
// what they end with is still there. One rule: the local way may only say yes; every doubt
// is left to the API server. Two things it may refuse by itself, since no answer could be
// another: what a key did not sign that is known by the name the token gives, and a token
// of an object that the watch saw deleted.
//
// The package knows nothing of Vault. It is handed an API to follow, and keeps of each
// object its uid and nothing else.
package live

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/token"
)

// What staleness may be asked for.
const (
	DefaultStaleness = 10 * time.Second
	MinStaleness     = 6 * time.Second
	MaxStaleness     = time.Minute
)

// Idle is after how long without logins nothing is followed any more.
const Idle = 5 * time.Minute

// minWatch is the shortest watch that is asked for: its bookmark comes a second after it
// began, or two.
const minWatch = 3 * time.Second

// Cluster is what is followed. Its errors are of type *kube.Error.
type Cluster interface {
	// ListUIDs tells of all objects of a kind as they are no earlier than it was called.
	ListUIDs(ctx context.Context, kind kube.Kind, each func(kube.Event)) (version string, seen kube.Observation, err error)
	// NewestVersion is that of when it was called, of all that the cluster stores.
	NewestVersion(ctx context.Context, kind kube.Kind) (version string, seen kube.Observation, err error)
	// WatchUIDs tells of what happens after a version.
	WatchUIDs(ctx context.Context, kind kube.Kind, after string, while time.Duration, each func(kube.Event)) (kube.Observation, error)
	// Keys reads the keys, and the issuer that tokens must have.
	Keys(ctx context.Context) (token.Keys, string, error)
	// Close is called when nothing is followed any more.
	Close()
}

// Options are what a session is made of.
type Options struct {
	// Connect makes what is followed, when it is first wanted.
	Connect func() (Cluster, error)
	Clock   clock.Clock
	// Staleness is how old what is known may be for it to count.
	Staleness time.Duration
	// Jitter is what a session waits at most before it begins, so that not all of a
	// Vault that was restarted list at once.
	Jitter time.Duration
	// Failed is told why nothing can be followed, each time.
	Failed func(error)
}

// Session follows a cluster while there are logins that want it.
type Session struct {
	options Options
	ctx     context.Context
	end     context.CancelFunc

	mu     sync.Mutex
	run    *run // nil while nothing is followed
	wanted clock.Moment
}

// run is what is known while a cluster is followed.
type run struct {
	accounts, pods *store

	mu     sync.Mutex
	keys   token.Keys
	issuer string
	read   clock.Moment // when the reading of keys began
	have   bool
}

func newSession(o Options) *Session {
	s := &Session{options: o}
	s.ctx, s.end = context.WithCancel(context.Background()) // ends with the last who shares it
	return s
}

// want returns what is known now, and begins to follow if nobody does.
func (s *Session) want() *run {
	now := s.options.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = now
	if s.run == nil && s.ctx.Err() == nil {
		s.run = &run{accounts: newStore(), pods: newStore()}
		go s.follow(s.run)
	}
	return s.run
}

// follow runs until the session ends, or nobody wanted it for a while.
func (s *Session) follow(r *run) {
	ctx, cancel := context.WithCancel(s.ctx)
	var running sync.WaitGroup
	defer func() {
		cancel()
		running.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.run = nil
	}()
	if s.options.Jitter > 0 {
		sleep(ctx, rand.N(s.options.Jitter)) //nolint:gosec // spreads requests and hides nothing
	}
	cluster, err := s.options.Connect()
	if err != nil {
		s.options.Failed(err)
		sleep(ctx, longPause)
		return
	}
	defer func() {
		running.Wait()
		cluster.Close()
	}()
	defer cancel()
	// Two watches, one after the other, and what a bookmark may be late.
	while := max(minWatch, (s.options.Staleness * 2 / 5).Truncate(time.Second))
	for kind, store := range map[kube.Kind]*store{kube.ServiceAccounts: r.accounts, kube.Pods: r.pods} {
		f := &follower{
			cluster: cluster, kind: kind, store: store, clock: s.options.Clock,
			while: while, staleness: s.options.Staleness, failed: s.options.Failed,
		}
		running.Go(func() { f.run(ctx) })
	}
	running.Go(func() { s.followKeys(ctx, cluster, r) })
	for s.isWanted() && ctx.Err() == nil {
		sleep(ctx, Idle/10)
	}
}

func (s *Session) isWanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.Clock().Running-s.wanted.Running < Idle
}

// followKeys reads the keys several times within the staleness.
func (s *Session) followKeys(ctx context.Context, cluster Cluster, r *run) {
	for ctx.Err() == nil {
		began := s.options.Clock()
		reading, cancel := context.WithTimeout(ctx, s.options.Staleness)
		keys, issuer, err := cluster.Keys(reading)
		cancel()
		pause := s.options.Staleness / 4
		if err == nil {
			r.mu.Lock()
			r.keys, r.issuer, r.read, r.have = keys, issuer, began, true
			r.mu.Unlock()
		} else if ctx.Err() == nil {
			s.options.Failed(err)
			pause = shortPause * 2
		}
		sleep(ctx, pause)
	}
}

// keysNow are the keys, and whether they are young enough to count.
func (r *run) keysNow(staleness time.Duration, now clock.Moment) (keys token.Keys, issuer string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys, r.issuer, r.have && r.read.Within(staleness, now)
}

// State is what a session knows, for whoever looks after it.
type State struct {
	// Following is whether anything is followed at all.
	Following bool
	// ServiceAccounts and Pods are how many are known.
	ServiceAccounts, Pods int
	// Age is how old the oldest is of what is known; Known is whether all is.
	Age   time.Duration
	Known bool
}

// State tells what is known now, and wants nothing.
func (s *Session) State() State {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return State{}
	}
	now := s.options.Clock()
	state := State{Following: true, ServiceAccounts: r.accounts.size(), Pods: r.pods.size(), Known: true}
	for _, of := range []*store{r.accounts, r.pods} {
		at, ok := of.asOf()
		state.Known = state.Known && ok
		state.Age = max(state.Age, now.Running-at.Running)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	state.Known = state.Known && r.have
	if state.Age = max(state.Age, now.Running-r.read.Running); !state.Known {
		state.Age = 0
	}
	return state
}
