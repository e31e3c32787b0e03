package login

import (
	"context"
	"errors"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// ConsulRequest asks what a service account gets in Consul.
type ConsulRequest struct {
	// Role is the name of one with use_binding_rules, which the login goes through; empty
	// where none is named.
	Role string
	JWT  string
	// ReviewerJWT is as in Request.
	ReviewerJWT string
	// Known is a service account that was verified before, in place of a token.
	Known    *identity.Identity
	Source   Source
	Observer Observer
	// Anew is as in Request.
	Anew bool
	// Namespaces says in which namespace of Consul the token is made; nil where Consul has
	// none.
	Namespaces *binding.NamespaceRules
}

// ConsulOutcome is what a Consul token is to get.
type ConsulOutcome struct {
	Outcome
	Grants binding.ConsulGrants
	// Namespace is where it is made; empty for that of Consul's configuration.
	Namespace string
}

// ErrUnknownMethod is of a request that names no role with use_binding_rules.
var ErrUnknownMethod = errors.New("there is no role of that name with use_binding_rules, and it is not auth_method of consul/config")

// ForConsul decides what a service account gets in Consul, and makes nothing. It goes the
// way of a login by rules: through the same proof, and through the same roles. The outcome
// is nil if the request was refused before any step was reached.
func ForConsul(ctx context.Context, m Mount, r ConsulRequest) (*ConsulOutcome, error) {
	a := &consulAttempt{attempt: attempt{decision: decision{mount: m, observer: r.Observer}, jwt: r.JWT, reviewerJWT: r.ReviewerJWT, anew: r.Anew}, known: r.Known, namespaces: r.Namespaces}
	a.ByRules, a.Source = true, r.Source
	if r.JWT == "" && r.Known == nil {
		return nil, refusal.Missing("jwt")
	}
	if r.Role != "" {
		if err := a.nameMethod(ctx, r.Role); err != nil {
			return nil, err
		}
	}
	if r.Anew {
		ctx = kube.Insist(ctx)
	}
	err := a.decide(ctx)
	a.of.Outcome = Outcome{Finding: a.Finding, Identity: a.identity}
	return &a.of, err
}

// consulAttempt is one to get a Consul token.
type consulAttempt struct {
	attempt
	known      *identity.Identity
	namespaces *binding.NamespaceRules
	of         ConsulOutcome
}

// nameMethod finds the role that a client of Consul's gives as its auth method.
func (a *consulAttempt) nameMethod(ctx context.Context, name string) error {
	err := a.name(ctx, name)
	if err != nil && refusal.KindOf(err) != refusal.Invalid {
		return err
	}
	if err != nil || a.named == nil {
		return &refusal.Refusal{Kind: refusal.Invalid, Class: refusal.ClassInvalid, Message: ErrUnknownMethod.Error(), Err: ErrUnknownMethod}
	}
	return nil
}

// consulSteps find what somebody who is known gets in Consul.
var consulSteps = []step[*consulAttempt]{{refusal.StepConsulRules, (*consulAttempt).applyConsulRules}}

// accountSteps look whether a service account that was verified before is there still.
var accountSteps = []step[*decision]{{refusal.StepAccount, (*decision).checkAccount}}

func (a *consulAttempt) decide(ctx context.Context) error {
	if err := run(ctx, &a.decision, a.observer, ruleBeginSteps); err != nil {
		return err
	}
	ctx, cancel := a.Cluster.Deadline(ctx)
	defer cancel()
	begun := *a
	return patiently(ctx, a.Cluster, func() error {
		*a = begun
		if err := a.identifyEither(ctx); err != nil {
			return err
		}
		if len(a.Through) > 0 {
			if err := run(ctx, &a.decision, a.observer, grantSteps[:1]); err != nil {
				return err
			}
		}
		return run(ctx, a, a.observer, consulSteps)
	})
}

func (a *consulAttempt) identifyEither(ctx context.Context) error {
	if a.known == nil {
		return run(ctx, &a.attempt, a.observer, identifySteps)
	}
	a.identity = *a.known
	a.identify(a.identity, "")
	return run(ctx, &a.decision, a.observer, accountSteps)
}

// applyConsulRules finds what the rules give to a Consul token, and in which namespace it
// is made. Nothing at all is a refusal.
func (a *consulAttempt) applyConsulRules(ctx context.Context) error {
	attributes := a.Attributes.ForRules(a.Cluster.Config.ServiceNameAnnotation)
	err := a.confirmed(ctx, func(rules *binding.RuleSet) (_ []string, err error) {
		a.of.Grants, err = a.observer.BindConsul(ctx, rules, attributes, a.fetch)
		return a.of.Grants.Rules, err
	})
	if err != nil {
		return a.ofName(err)
	}
	if a.of.Grants.Empty() {
		return refusal.Deny("no binding rule gives a Consul token anything")
	}
	if a.namespaces == nil {
		return nil
	}
	if a.of.Namespace, err = a.namespaces.Bind(ctx, attributes, a.fetch); err != nil {
		return a.ofName(err)
	}
	if a.of.Namespace == "" {
		a.of.Namespace = a.Cluster.Config.ConsulNamespace(a.Who.Namespace())
	}
	return nil
}

// ConsulSteps are those of a login with a token for a Consul token, in their order.
// throughRole is as in Steps.
func ConsulSteps(throughRole bool) []refusal.Step {
	all := names(names(nil, ruleBeginSteps), identifySteps)
	if throughRole {
		all = append(all, refusal.StepRuleRole)
	}
	return append(names(all, consulSteps), refusal.StepConsulToken)
}
