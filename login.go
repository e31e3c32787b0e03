package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/token"
)

// step names a part of a login, in logs and wherever a login is explained.
type step string

// loginStep is one part of a login. It returns a refusal to end the login.
type loginStep struct {
	name step
	run  func(*login, context.Context) error
}

// identifySteps find out whose the token is. What stands before the review may
// only refuse.
var identifySteps = []loginStep{
	{"configuration", (*login).findConnection},
	{"token form", (*login).parseToken},
	{"unverified claims", (*login).checkClaims},
	{"signature", (*login).checkSignature},
	{"token review", (*login).review},
}

// boundSteps ask whether a role is meant for whoever that is. They work on the
// answer of the review alone.
var boundSteps = []loginStep{
	{"audience", (*login).checkAudience},
	{"service account name", (*login).checkName},
	{"namespace", (*login).checkNamespace},
}

// loginSteps are all steps of a login under a role, in their order.
var loginSteps = slices.Concat(
	[]loginStep{{"source address", (*login).checkAddress}},
	identifySteps,
	boundSteps,
	[]loginStep{{"alias", (*login).nameAlias}},
)

// login is one attempt to log in with a token under a role. The fields fill as
// the steps pass.
type login struct {
	b       *backend
	storage logical.Storage
	role    *role
	jwt     string
	remote  *logical.Connection

	connection *connection
	unverified *token.Unverified
	identity   identity.Identity // set by the review and by nothing else

	aliasName   string
	annotations map[string]string // metadata that annotations add to the alias
}

// stepError tells in which step a login ended.
type stepError struct {
	step step
	err  error
}

func (e *stepError) Error() string { return fmt.Sprintf("%s: %v", e.step, e.err) }
func (e *stepError) Unwrap() error { return e.err }

// run goes through steps until one refuses.
func (l *login) run(ctx context.Context, steps []loginStep) error {
	for _, s := range steps {
		if err := s.run(l, ctx); err != nil {
			return &stepError{step: s.name, err: err}
		}
	}
	return nil
}

func (l *login) checkAddress(context.Context) error {
	if len(l.role.TokenBoundCIDRs) == 0 {
		return nil
	}
	if l.remote == nil {
		return deny("the role has token_bound_cidrs and the host reported no source address")
	}
	if !cidrutil.RemoteAddrIsOk(l.remote.RemoteAddr, l.role.TokenBoundCIDRs) {
		return deny("the source address is not in the role's token_bound_cidrs")
	}
	return nil
}

func (l *login) findConnection(ctx context.Context) error {
	c, err := l.b.connection(ctx, l.storage)
	if err != nil {
		return err
	}
	if c == nil {
		// Vault's own words, and its status: 500.
		return errors.New("could not load backend configuration")
	}
	l.connection = c
	return nil
}

func (l *login) parseToken(context.Context) error {
	unverified, err := token.Parse(l.jwt)
	if err != nil {
		return denyFor(err)
	}
	l.unverified = unverified
	return nil
}

// checkClaims refuses a token by what it says of itself. It never allows.
func (l *login) checkClaims(context.Context) error {
	if err := l.unverified.CheckTime(l.b.now()); err != nil {
		return denyFor(err)
	}
	if l.connection.issuer != "" {
		if err := l.unverified.CheckIssuer(l.connection.issuer); err != nil {
			return denyFor(err)
		}
	}
	if l.role.Audience != "" {
		if err := l.unverified.CheckAudience(l.role.Audience); err != nil {
			return denyFor(err)
		}
	}
	return nil
}

func (l *login) checkSignature(context.Context) error {
	if l.connection.keys.Empty() {
		return nil // the API server checks it
	}
	if err := l.connection.keys.Verify(l.unverified); err != nil {
		return denyFor(err)
	}
	return nil
}

func (l *login) review(ctx context.Context) error {
	id, err := l.connection.reviewer.Review(ctx, l.unverified.Raw(), l.audiences())
	if err != nil {
		return err
	}
	l.identity = id
	return nil
}

// audiences are the ones to review the token for. A role without an audience
// takes a token for any, so the API server is asked about the token's own: left
// to itself it would insist on its own audience and refuse tokens meant for Vault.
func (l *login) audiences() []string {
	if l.role.Audience != "" {
		return []string{l.role.Audience}
	}
	return l.unverified.UnverifiedAudiences()
}

// checkAudience repeats on the verified audiences what the review was asked for.
func (l *login) checkAudience(context.Context) error {
	if l.role.Audience != "" && !slices.Contains(l.identity.Audiences(), l.role.Audience) {
		return deny(fmt.Sprintf("the token's audiences are %q, the role asks for %q", l.identity.Audiences(), l.role.Audience))
	}
	return nil
}

func (l *login) checkName(context.Context) error {
	if !l.role.bindsName(l.identity) {
		return deny(fmt.Sprintf("the role is not bound to the service account name %q", l.identity.Name()))
	}
	return nil
}

// checkNamespace asks for the labels of the namespace only if they can make a
// difference.
func (l *login) checkNamespace(ctx context.Context) error {
	if l.role.bindsNamespace(l.identity) {
		return nil
	}
	selector := l.role.namespaceSelector
	if selector == nil {
		return deny(fmt.Sprintf("the role is not bound to the namespace %q", l.identity.Namespace()))
	}
	namespace, err := l.connection.client.Namespace(ctx, l.unverified.Raw(), l.identity.Namespace())
	if err != nil {
		return refusalFromAPI(err, l.connection.selfReview(), kube.Unauthorized, kube.Forbidden, kube.NotFound)
	}
	if !selector.matches(namespace.Labels) {
		return deny(fmt.Sprintf("the labels of the namespace %q do not match the role's selector", l.identity.Namespace()))
	}
	return nil
}

// Metadata of the alias and of the token, as Vault's own method names it.
const (
	metadataUID        = "service_account_uid"
	metadataName       = "service_account_name"
	metadataNamespace  = "service_account_namespace"
	metadataSecretName = "service_account_secret_name"
	metadataRole       = "role"
)

// auth builds what the host makes a token from, after all steps passed. Everything
// in it is what the API server confirmed, or the operator configured.
func (l *login) auth(roleName string) *logical.Auth {
	aliasMetadata := map[string]string{}
	maps.Copy(aliasMetadata, l.annotations)
	tokenMetadata := map[string]string{metadataRole: roleName}
	for key, value := range map[string]string{
		metadataUID:        l.identity.UID(),
		metadataName:       l.identity.Name(),
		metadataNamespace:  l.identity.Namespace(),
		metadataSecretName: l.unverified.LegacySecretName(l.identity.Namespace(), l.identity.Name(), l.identity.UID()),
	} {
		aliasMetadata[key] = value
		tokenMetadata[key] = value
	}
	auth := &logical.Auth{
		Alias:        &logical.Alias{Name: l.aliasName, Metadata: aliasMetadata},
		InternalData: map[string]any{"role": roleName},
		Metadata:     tokenMetadata,
		DisplayName:  l.identity.Namespace() + "-" + l.identity.Name(),
	}
	l.role.PopulateTokenAuth(auth)
	return auth
}

// nameAlias finds what the entity alias is called and which metadata it has.
func (l *login) nameAlias(ctx context.Context) (err error) {
	if l.aliasName, err = l.role.aliasName(l.identity); err != nil {
		return err
	}
	if !l.connection.config.UseAnnotationsAsAliasMetadata {
		return nil
	}
	account, err := l.connection.client.ServiceAccount(ctx, l.unverified.Raw(), l.identity.Namespace(), l.identity.Name())
	if err != nil {
		return refusalFromAPI(err, l.connection.selfReview(), kube.Unauthorized, kube.Forbidden, kube.NotFound)
	}
	l.annotations, err = annotationMetadata(account.Annotations)
	return err
}

// aliasAnnotationPrefix begins the annotations that become alias metadata.
const aliasAnnotationPrefix = "vault.hashicorp.com/alias-metadata-"

// annotationMetadata picks the annotations that become alias metadata. The keys
// that the identity itself has are reserved: whoever may annotate must not become
// someone else.
func annotationMetadata(annotations map[string]string) (map[string]string, error) {
	metadata := map[string]string{}
	var reserved []string
	for annotation, value := range annotations {
		key, ok := strings.CutPrefix(annotation, aliasAnnotationPrefix)
		switch {
		case !ok:
		case slices.Contains([]string{metadataUID, metadataName, metadataNamespace, metadataSecretName}, key):
			reserved = append(reserved, key)
		default:
			metadata[key] = value
		}
	}
	if len(reserved) > 0 {
		slices.Sort(reserved)
		return nil, refuseInvalid(fmt.Sprintf("entity alias metadata keys for only internal use found"+
			" from the client token's associated service account annotations: keys=%+q", reserved))
	}
	return metadata, nil
}
