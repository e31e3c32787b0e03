package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/helper/cidrutil"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/token"
)

// step names a part of a login, in logs and wherever a login is explained.
type step string

// addressStep is also judged of each role that a binding rule binds.
const addressStep step = "source address"

// loginStep is one part of a login. It returns a refusal to end the login.
type loginStep struct {
	name step
	run  func(*login, context.Context) error
}

// beginSteps come before the cluster of the mount is known, and with it how long the
// rest may take.
var beginSteps = []loginStep{
	{addressStep, (*login).checkAddress},
	{"configuration", (*login).findConnection},
}

// identifySteps find out whose the token is. What stands before the review may
// only refuse.
var identifySteps = []loginStep{
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
	{"selector", (*login).checkSelector},
}

// roleSteps are the further steps of a login under a role, in their order.
var roleSteps = slices.Concat(
	identifySteps,
	boundSteps,
	[]loginStep{{"alias", (*login).nameAlias}},
)

// ruleSteps are the further steps of a login without a role, in their order.
var ruleSteps = slices.Concat(
	identifySteps,
	[]loginStep{
		{"binding rules", (*login).applyRules},
		{"alias", (*login).nameAlias},
	},
)

// login is one attempt to log in with a token: under a role, or, where role is
// nil, by the binding rules. The fields fill as the steps pass.
type login struct {
	b       *backend
	storage logical.Storage
	role    *role
	jwt     string
	remote  *logical.Connection
	// roleOfRule tells that the role is one that a binding rule binds.
	roleOfRule bool

	connection *connection
	unverified *token.Unverified
	identity   identity.Identity // set by the review and by nothing else
	objects    *objects
	attributes *binding.Attributes

	aliasName   string
	annotations aliasAnnotations // metadata that annotations add to the alias
	granted     *granted         // by binding rules; nil under a role

	// explained is told how each step ends; nil unless the login is one that is
	// only to be explained.
	explained *explanation
}

// stepError tells in which step a login ended.
type stepError struct {
	step step
	err  error
}

func (e *stepError) Error() string { return fmt.Sprintf("%s: %v", e.step, e.err) }
func (e *stepError) Unwrap() error { return e.err }

// run goes through steps until one refuses, and returns the first refusal. Where a
// login is explained, steps that do not depend on the one that refused are still
// judged.
func (l *login) run(ctx context.Context, steps []loginStep) error {
	var refused error
	for _, s := range steps {
		err := s.run(l, ctx)
		if err != nil && refused == nil {
			refused = &stepError{step: s.name, err: err}
		}
		goOn := refused == nil
		if l.explained != nil {
			goOn = l.explained.ended(s.name, err)
		}
		if !goOn {
			break
		}
	}
	return refused
}

// logIn goes through all steps. However many requests the steps make, together they
// take no longer than two attempts at one.
func (l *login) logIn(ctx context.Context) error {
	if err := l.run(ctx, beginSteps); err != nil {
		return err
	}
	ctx, cancel := l.connection.deadline(ctx)
	defer cancel()
	if l.role == nil {
		return l.run(ctx, ruleSteps)
	}
	return l.run(ctx, roleSteps)
}

// checkAddress has nothing to check where no role was named; roles that binding rules
// grant are checked then.
func (l *login) checkAddress(context.Context) error {
	if l.role == nil || len(l.role.TokenBoundCIDRs) == 0 {
		return nil
	}
	if l.explained != nil && l.remote == nil {
		l.explained.leftOpen(l.role)
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

// errNoConfiguration is in Vault's own words, and has its status: 500.
var errNoConfiguration = errors.New("could not load backend configuration")

func (l *login) findConnection(ctx context.Context) error {
	c, err := l.b.connection(ctx, l.storage)
	if err != nil {
		return err
	}
	if c == nil {
		return errNoConfiguration
	}
	l.connection = c
	return nil
}

func (l *login) parseToken(context.Context) error {
	unverified, err := l.b.tokens.Parse(l.jwt)
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
	if l.role == nil {
		return nil
	}
	if want := l.role.audiences(); len(want) > 0 {
		if err := l.unverified.CheckAudience(want...); err != nil {
			return denyFor(err)
		}
	}
	return nil
}

func (l *login) checkSignature(ctx context.Context) error {
	if keys := l.connection.keys; !keys.Empty() {
		if err := keys.Verify(l.unverified); err != nil {
			return denyFor(err)
		}
	}
	if l.connection.clusterKeys == nil {
		return nil // the API server checks it
	}
	return l.connection.clusterKeys.verify(ctx, l.unverified)
}

func (l *login) review(ctx context.Context) error {
	audiences, err := l.audiences()
	if err != nil {
		return err
	}
	reviewer := l.connection.reviewer
	if l.explained != nil {
		reviewer = l.connection.direct // what is true now, not a moment ago
	}
	id, err := reviewer.Review(ctx, l.unverified, audiences)
	if err != nil {
		return err
	}
	l.identify(id)
	return nil
}

// identify is where an attempt gets its identity. All that later steps may look at
// begins here.
func (l *login) identify(id identity.Identity) {
	l.identity = id
	l.objects = &objects{connection: l.connection, identity: id}
	if l.unverified != nil { // there is none on renewal
		l.objects.loginToken = l.unverified.Raw()
	}
	l.attributes = binding.NewAttributes(id, binding.Context{
		ClusterName:     l.connection.config.ClusterName,
		ConsulNamespace: l.connection.config.consulNamespace(id.Namespace()),
	})
}

// audiences are the ones to review the token for. A role without an audience
// takes a token for any, so the API server is asked about the token's own: left
// to itself it would insist on its own audience and refuse tokens meant for Vault.
// So are binding rules, which can look at the audiences; with require_audience
// there has to be some audience that counts, and it is the API server's.
func (l *login) audiences() ([]string, error) {
	required := l.connection.config.RequireAudience
	if l.role == nil {
		if required {
			return nil, nil
		}
		return l.unverified.UnverifiedAudiences(), nil
	}
	if want := l.role.audiences(); len(want) > 0 {
		return want, nil
	}
	if required {
		return nil, &refusal{
			kind: denied, operator: true, class: "configuration",
			reason: "the configuration has require_audience set, and the role has no audience",
			remedy: "give the role an audience",
		}
	}
	return l.unverified.UnverifiedAudiences(), nil
}

// checkAudience looks at the verified audiences. For the role of a login the
// review was asked for the same; a role that a binding rule grants has its own.
func (l *login) checkAudience(context.Context) error {
	want := l.role.audiences()
	if len(want) == 0 && l.connection.config.RequireAudience {
		return deny("the configuration has require_audience set, and the role has no audience")
	}
	if len(want) > 0 && !slices.ContainsFunc(want, func(w string) bool { return slices.Contains(l.identity.Audiences(), w) }) {
		return deny(fmt.Sprintf("the token's audiences are %q, the role asks for one of %q", l.identity.Audiences(), want))
	}
	return nil
}

func (l *login) checkName(context.Context) error {
	if l.role.OnlyByBindingRules && !l.roleOfRule {
		return deny("only binding rules give the role (only_by_binding_rules), and the login names it")
	}
	if l.role.leavesBoundsToRules() {
		return nil
	}
	if !l.role.bindsName(l.identity) && !l.role.bindsPair(l.identity) {
		return deny(fmt.Sprintf("the role is not bound to the service account name %q", l.identity.Name()))
	}
	return nil
}

// checkNamespace asks for the labels of the namespace only if they can make a
// difference.
func (l *login) checkNamespace(ctx context.Context) error {
	if l.role.leavesBoundsToRules() || l.role.bindsPair(l.identity) || l.role.bindsNamespace(l.identity) {
		return nil
	}
	selector := l.role.namespaceSelector
	if selector == nil {
		return deny(fmt.Sprintf("the role is not bound to the namespace %q", l.identity.Namespace()))
	}
	namespace, err := l.objects.namespace(ctx)
	if err != nil {
		return err
	}
	if !selector.matches(namespace.Labels) {
		return deny(fmt.Sprintf("the labels of the namespace %q do not match the role's selector", l.identity.Namespace()))
	}
	return nil
}

func (l *login) checkSelector(ctx context.Context) error {
	if l.role.unusable != nil {
		return &refusal{
			kind: denied, operator: true, class: "configuration", err: l.role.unusable,
			reason: "the role's selector cannot be read", remedy: "write the role anew",
		}
	}
	if l.role.selector == nil {
		return nil
	}
	matched, err := l.role.selector.Match(ctx, l.attributes, l.fetch)
	if err != nil {
		return err
	}
	if !matched {
		return deny("the role's selector does not match: " + l.role.selector.Mismatch(l.attributes))
	}
	return nil
}

// nameAlias finds what the entity alias is called and which metadata it has.
func (l *login) nameAlias(ctx context.Context) (err error) {
	l.aliasName = l.identity.UID()
	if l.role != nil {
		if l.aliasName, err = l.role.aliasName(l.identity); err != nil {
			return err
		}
	}
	if !l.connection.config.UseAnnotationsAsAliasMetadata {
		return nil
	}
	account, err := l.objects.serviceAccount(ctx)
	if err != nil {
		return err
	}
	if l.annotations, err = annotationMetadata(account.Annotations); err == nil {
		l.logLeftOut()
	}
	return err
}
