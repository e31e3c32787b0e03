package consultoken

import (
	"context"
	"errors"
	"strings"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/consulacl"
)

// Mint makes tokens by a configuration. It is safe for concurrent use.
type Mint struct {
	Config *Entry
	Client *consulacl.Client

	keyed      consulacl.Keyed
	namespaces *binding.NamespaceRules
}

// Options are what a Mint needs beside its configuration.
type Options struct {
	Clock     consulacl.Clock // nil is the machine's
	Meter     *consulacl.Meter
	UserAgent string
}

// NewMint makes a mint of a configuration that was validated. What it does by itself ends
// with ctx.
func NewMint(ctx context.Context, e *Entry, o Options) (*Mint, error) {
	client, err := e.client(ctx, o.Clock, o.Meter, o.UserAgent)
	if err != nil {
		return nil, err
	}
	namespaces, err := binding.CompileNamespaceRules(e.NamespaceRules)
	if err != nil {
		client.Close()
		return nil, err
	}
	return &Mint{Config: e, Client: client, keyed: consulacl.NewKeyed(e.Key), namespaces: namespaces}, nil
}

// Close ends what goes on by itself. Requests that are under way end normally.
func (m *Mint) Close() { m.Client.Close() }

// ErrNothing is for whom the rules give nothing that exists.
var ErrNothing = errors.New("the rules give nothing, or no role and policy that they give exists in Consul")

// Wanted is what somebody is to get a token for.
type Wanted struct {
	Grants binding.ConsulGrants
	// Namespace is the one in which the token is made; empty for that of the
	// configuration.
	Namespace string
	// Meta goes into the description.
	Meta map[string]string
}

// Namespaces are the rules for namespaces, without any where there are none; nil where
// Consul has no namespaces, and refuses tokens that name one.
func (m *Mint) Namespaces() *binding.NamespaceRules {
	if !m.Config.HasNamespaces() {
		return nil
	}
	return m.namespaces
}

// Existing are the grants without the roles and policies that do not exist.
func (m *Mint) Existing(ctx context.Context, w Wanted) (binding.ConsulGrants, error) {
	existing := w.Grants
	existing.Roles, existing.Policies = nil, nil
	for _, list := range []struct {
		kind  consulacl.Kind
		names []string
		to    *[]string
	}{{consulacl.Role, w.Grants.Roles, &existing.Roles}, {consulacl.Policy, w.Grants.Policies, &existing.Policies}} {
		for _, name := range list.names {
			exists, err := m.Client.Exists(ctx, list.kind, w.Namespace, name)
			if err != nil {
				return binding.ConsulGrants{}, err
			}
			if exists {
				*list.to = append(*list.to, name)
			}
		}
	}
	return existing, nil
}

// Make makes a token. Roles and policies that do not exist are skipped; if nothing is
// left the error is ErrNothing. Other errors are the client's, and then no token is left;
// nor is one if whoever asked has gone.
func (m *Mint) Make(ctx context.Context, w Wanted) (*consulacl.Token, error) {
	ctx, cancel := m.Config.Deadline(ctx)
	defer cancel()
	made, err := m.make(ctx, w)
	if consulacl.FailureOf(err) == consulacl.Refused && len(w.Grants.Roles)+len(w.Grants.Policies) > 0 {
		// One of them may have been deleted since it was looked up.
		m.Client.ForgetNames()
		made, err = m.make(ctx, w)
	}
	return made, err
}

func (m *Mint) make(ctx context.Context, w Wanted) (*consulacl.Token, error) {
	existing, err := m.Existing(ctx, w)
	if err != nil {
		return nil, err
	}
	if existing.Empty() {
		return nil, ErrNothing
	}
	datacenter := ""
	if len(existing.Nodes) > 0 {
		if datacenter, err = m.Client.Datacenter(ctx); err != nil {
			return nil, err
		}
	}
	n := consulacl.NewToken{
		Description: Description(w.Meta),
		Local:       m.Config.Local(),
		TTL:         m.Config.MaxTTL(),
		Namespace:   w.Namespace,
		Privileges:  privileges(existing, datacenter),
	}
	n.AccessorID, n.SecretID = m.keyed.New()
	return m.Client.Mint(ctx, n)
}

// Would is what Make would give, and makes nothing.
func (m *Mint) Would(ctx context.Context, w Wanted) (binding.ConsulGrants, error) {
	ctx, cancel := m.Config.Deadline(ctx)
	defer cancel()
	if _, err := m.Client.Self(ctx); err != nil {
		return binding.ConsulGrants{}, err
	}
	existing, err := m.Existing(ctx, w)
	if err == nil && existing.Empty() {
		err = ErrNothing
	}
	return existing, err
}

// ErrNotOurs is for a token that the mount did not make.
var ErrNotOurs = errors.New("the mount did not make this token")

// Logout takes back a token, by its secret. Consul is not asked about others.
func (m *Mint) Logout(ctx context.Context, secret string) error {
	secret = strings.ToLower(strings.TrimSpace(secret))
	if !m.keyed.OwnsSecret(secret) {
		return ErrNotOurs
	}
	return m.Client.Revoke(ctx, m.keyed.AccessorOf(secret))
}

// Alive are how many tokens of the mount Consul has.
func (m *Mint) Alive(ctx context.Context) (int, error) {
	tokens, err := m.Client.Tokens(ctx)
	count := 0
	for _, t := range tokens {
		if m.keyed.OwnsAccessor(t.AccessorID) {
			count++
		}
	}
	return count, err
}
