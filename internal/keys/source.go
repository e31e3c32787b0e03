// Package keys verifies tokens by the keys of a cluster: where the keys come from, how
// they are followed as they rotate, and a reviewer that asks nobody else. What a key
// signed is true until it expires, whatever happens to the objects that it names, so the
// guards of Guards are on unless they are switched off by name.
//
// The package knows nothing of Vault.
package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
	"vault-plugin-auth-kubernetes/internal/kube"
)

// Source reads the keys of a cluster.
type Source interface {
	// KeySet reads the JSON Web Key Set. loginToken is the credential where there is no
	// other. The errors are of type *kube.Error.
	KeySet(ctx context.Context, loginToken string) ([]byte, error)
	// Issuer is the one that tokens must have; "" where nobody knows.
	Issuer(ctx context.Context) string
}

// Cluster is what is asked of the API server itself.
type Cluster interface {
	SigningKeys(ctx context.Context, loginToken string) ([]byte, error)
	Issuer(ctx context.Context) (string, error)
}

// How often the cluster is asked for its issuer, once it told one, which changes with a
// new setting of the API server; and before it did.
const (
	issuerEvery  = 5 * time.Minute
	unknownEvery = 2 * time.Second
)

// Own reads the keys from the cluster's API server. One that does not tell its issuer
// (whose discovery is closed, or whose issuer is not https) tells its keys all the same.
type Own struct {
	Cluster Cluster
	Clock   clock.Clock
	// Fixed, if it is set, is the issuer as configured, and the cluster is not asked.
	Fixed string

	mu     sync.Mutex
	issuer string
	asked  clock.Moment
	asking chan struct{} // is closed once who asks has the answer; nil while nobody does
}

// KeySet reads /openid/v1/jwks.
func (o *Own) KeySet(ctx context.Context, loginToken string) ([]byte, error) {
	return o.Cluster.SigningKeys(ctx, loginToken)
}

// Issuer is the issuer as it was told last, asked for anew if that is a while ago. One asks
// for all; the others go by what is known, or wait for the answer where nothing is.
func (o *Own) Issuer(ctx context.Context) string {
	if o.Fixed != "" {
		return o.Fixed
	}
	for {
		known, answer, ask := o.known()
		switch {
		case ask:
			return o.ask(ctx)
		case known != "" || answer == nil:
			return known
		}
		select {
		case <-answer:
		case <-ctx.Done():
			return ""
		}
	}
}

// known is the issuer as far as it is known, and the answer to wait for where it is not;
// ask says that the caller is the one who has to ask.
func (o *Own) known() (issuer string, answer <-chan struct{}, ask bool) {
	now := o.Clock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asking != nil {
		return o.issuer, o.asking, false
	}
	if o.asked == (clock.Moment{}) || !o.asked.Within(issuerEvery, now) || o.issuer == "" && !o.asked.Within(unknownEvery, now) {
		o.asking = make(chan struct{})
		return o.issuer, nil, true
	}
	return o.issuer, nil, false
}

func (o *Own) ask(ctx context.Context) string {
	defer o.answered() // also after a panic
	began := o.Clock()
	told, err := o.Cluster.Issuer(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.issuer = told
	} // else it stays: an outage makes no issuer wrong
	// Who hung up got no answer, and whoever waits with him still wants one.
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		o.asked = began
	}
	return o.issuer
}

func (o *Own) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.asking)
	o.asking = nil
}

// Documents reads what is published for everybody.
type Documents interface {
	Get(ctx context.Context, address string) ([]byte, error)
}

// Elsewhere reads the keys from a web server, where EKS, GKE and AKS publish them.
type Elsewhere struct {
	Documents Documents
	// Address is that of the key set. Without one it is in the discovery document of
	// the issuer.
	Address string
	Of      string // the issuer
}

// KeySet reads the key set, as everybody may.
func (e Elsewhere) KeySet(ctx context.Context, _ string) ([]byte, error) {
	address := e.Address
	if address == "" {
		var err error
		if address, err = e.discover(ctx); err != nil {
			return nil, err
		}
	}
	return e.Documents.Get(ctx, address)
}

// Issuer is the one whose keys are read.
func (e Elsewhere) Issuer(context.Context) string { return e.Of }

// discover reads where the key set is. The document has to be that of the very issuer, as
// OpenID Connect asks: or the keys of one would be taken for those of another.
func (e Elsewhere) discover(ctx context.Context) (string, error) {
	document, err := e.Documents.Get(ctx, strings.TrimSuffix(e.Of, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var discovery struct {
		Issuer string `json:"issuer"`
		KeySet string `json:"jwks_uri"`
	}
	switch err := json.Unmarshal(document, &discovery); {
	case err != nil:
		return "", unusable(errors.New("not a discovery document"))
	case discovery.Issuer != e.Of:
		return "", unusable(fmt.Errorf("the discovery document is of the issuer %q, and not of %q", discovery.Issuer, e.Of))
	case discovery.KeySet == "":
		return "", unusable(errors.New("the discovery document names no jwks_uri"))
	}
	return discovery.KeySet, nil
}

func unusable(err error) error {
	return &kube.Error{Op: "read the cluster's keys", Failure: kube.Malformed, Err: err}
}
