package consulacl

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru"

	"vault-plugin-auth-kubernetes/internal/cache"
)

// Kind is what a name is of.
type Kind string

// The kinds of names that are looked up.
const (
	Role   Kind = "role"
	Policy Kind = "policy"
)

const (
	// rememberFor is how long it is remembered whether a role or a policy exists.
	rememberFor = 10 * time.Second
	// maxRemembered bounds how many: whoever may choose what a rule takes its name from
	// chooses names.
	maxRemembered = 4096
)

// names knows which roles and policies there are, from a moment ago. Of many who ask for
// the same one at a time, one asks Consul.
type names struct {
	client *Client
	known  *lru.Cache
	asking *cache.Group[nameKey, bool]
}

type nameKey struct {
	kind            Kind
	namespace, name string
}

type knownName struct {
	exists bool
	at     time.Time
}

func newNames(ctx context.Context, c *Client) *names {
	known, err := lru.New(maxRemembered)
	if err != nil {
		panic(err) // of a size that is not positive
	}
	return &names{client: c, known: known, asking: cache.NewGroup[nameKey, bool](ctx, c.options.Timeout)}
}

// Exists tells whether there is a role or a policy of a name, or was a moment ago.
func (c *Client) Exists(ctx context.Context, kind Kind, namespace, name string) (bool, error) {
	key := nameKey{kind, namespace, name}
	if value, ok := c.names.known.Get(key); ok {
		if known := value.(knownName); c.clock.Now().Sub(known.at) < rememberFor {
			return known.exists, nil
		}
	}
	exists, err := c.names.asking.Do(ctx, key, cache.Read[bool]{
		From: func(ctx context.Context) (bool, error) { return c.askName(ctx, key) },
		Keep: func(exists bool) { c.names.known.Add(key, knownName{exists, c.clock.Now()}) },
	})
	if errors.Is(err, cache.ErrGaveUp) {
		err = &Error{Op: opOf[kind], Failure: failureOfTransport(ctx, err), Err: err}
	}
	return exists, err
}

var opOf = map[Kind]string{Role: OpRole, Policy: OpPolicy}

// ForgetNames makes each name be asked for again: a token could not be made since one of
// them is not there any more.
func (c *Client) ForgetNames() { c.names.known.Purge() }

func (c *Client) askName(ctx context.Context, key nameKey) (bool, error) {
	op, query := opOf[key.kind], url.Values{}
	if namespace := key.namespace; namespace != "" {
		query.Set("ns", namespace)
	} else if c.options.Namespace != "" {
		query.Set("ns", c.options.Namespace)
	}
	found := Link{}
	err := c.do(ctx, request{op: op, method: http.MethodGet, path: []string{"acl", string(key.kind), "name", key.name}, query: query, into: &found})
	switch err = c.absent(ctx, err); {
	case FailureOf(err) == NotFound:
		return false, nil
	case err != nil:
		return false, err
	case !strings.EqualFold(found.Name, key.name): // to Consul, letter case is no difference
		return false, &Error{Op: op, Failure: Malformed, Err: errOtherToken}
	}
	return true, nil
}
