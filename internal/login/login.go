// Package login decides what a service account token gets: the steps of a login in their
// order, what binding rules grant, and what a renewal goes by. It is handed a mount, which
// has roles, rules and a cluster, and returns an outcome; it knows nothing of requests, of
// paths or of how answers look.
package login

import (
	"context"
	"time"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/posture"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/token"
)

// Mount is where somebody logs in, as the storage of one request has it.
type Mount interface {
	// Cluster is the one that is configured; nil if none is.
	Cluster(ctx context.Context) (*cluster.Cluster, error)
	// Role is that of a name in any letter case; nil if there is none. The name must be
	// one that a role can have.
	Role(ctx context.Context, name string) (*role.Role, error)
	// Remembered is a role that is remembered by just that name, which is then a good one.
	Remembered(name string) (r *role.Role, ok bool)
	Rules(ctx context.Context) (*binding.RuleSet, error)
	// Confirm tells whether rules that granted something have to be evaluated again, since
	// they are not known to be what storage holds.
	Confirm(ctx context.Context, rules []string) (again bool, err error)
	// Parse reads a token, of which it believes nothing.
	Parse(jwt string) (*token.Unverified, error)
	Now() time.Time
	// Turn waits for the turn of the mount to do what takes long, and returns what gives
	// it back. The error is that of the context.
	Turn(ctx context.Context) (release func(), err error)
}

// Request is what a client sends to log in.
type Request struct {
	// Role is the name of one; empty where binding rules are to decide.
	Role string
	JWT  string
	// ReviewerJWT is a second token, which asks whose the first is; empty if none was sent.
	ReviewerJWT string
	Source      Source
	// Anew asks the API server whatever is remembered: for a review, and although it may be
	// known to be down.
	Anew bool
	// Observer is told how the login goes; Unobserved if nobody is.
	Observer Observer
}

// Source is where a request comes from.
type Source struct {
	address string
	known   bool
	open    bool
}

// From is the address of a client.
func From(address string) Source { return Source{address: address, known: true} }

// SourceNotReported is where the host reported no address.
var SourceNotReported = Source{}

// SourceNotGiven is a source that nobody named: addresses are not judged.
var SourceNotGiven = Source{open: true}

// Address is that of the client, if it is known.
func (s Source) Address() (address string, known bool) { return s.address, s.known }

// Finding is what roles and rules say of a service account, as far as that got.
type Finding struct {
	// ByRules is whether binding rules decide: no role was named, or one that has
	// use_binding_rules.
	ByRules bool
	// Role is the one that was named; nil by rules.
	Role *role.Role
	// Through are the roles that a login by rules goes through.
	Through []Through
	Cluster *cluster.Cluster
	// Who it is about is known from when Attributes are set. It need not be verified.
	Who        identity.Account
	Attributes *binding.Attributes
	// Granted is what binding rules come to; nil under a role.
	Granted *Granted

	Source Source
	// Alias is the name of the entity alias, and Annotations what annotations of the
	// service account add to its metadata.
	Alias       string
	Annotations metadata.Annotations
	// Token is what kind of token it is, of the identity and as the API server confirmed it.
	Token posture.Token
	// SecondUnused tells that a second token was sent, and that it has no say here.
	SecondUnused bool
	// SecretName is that of the secret that holds the token, "" for other tokens.
	SecretName string
}

// Outcome is what a login came to, as far as it got.
type Outcome struct {
	Finding
	// Identity is set by the review and by nothing else.
	Identity identity.Identity
}

// LogIn makes a login. An error is a refusal, or one of the host's own; the outcome is nil
// if the request was refused before any step was reached.
func LogIn(ctx context.Context, m Mount, r Request) (*Outcome, error) {
	a := &attempt{decision: decision{mount: m, observer: r.Observer}, jwt: r.JWT, reviewerJWT: r.ReviewerJWT, anew: r.Anew}
	a.ByRules, a.Source = r.Role == "", r.Source
	if a.ByRules {
		if err := requireRules(ctx, m); err != nil {
			return nil, err
		}
	}
	if r.JWT == "" {
		return nil, refusal.Missing("jwt")
	}
	if !a.ByRules {
		if err := a.name(ctx, r.Role); err != nil {
			return nil, err
		}
	}
	if r.Anew {
		ctx = kube.Insist(ctx)
	}
	err := a.logIn(ctx)
	return &Outcome{Finding: a.Finding, Identity: a.identity}, err
}

// requireRules answers a login without a role as Vault's own method does where
// there are no binding rules to go by.
func requireRules(ctx context.Context, m Mount) error {
	rules, err := m.Rules(ctx)
	if err != nil {
		return err
	}
	if rules.LenForVault() == 0 {
		return refusal.OfRequest("no role was named, and there are no binding rules", "missing role")
	}
	return nil
}
