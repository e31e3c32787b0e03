package login

import (
	"context"
	"errors"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// step is one part of what T is: a login, a renewal, or what both have in common. It
// returns a refusal to end it.
type step[T any] struct {
	name refusal.Step
	run  func(T, context.Context) error
}

// beginSteps come before anything is asked of the cluster of the mount, whose
// configuration says how long the rest may take.
var beginSteps = []step[*decision]{
	{refusal.StepAddress, (*decision).checkAddress},
	{refusal.StepConfiguration, (*decision).findCluster},
}

// ruleBeginSteps are those of a login by rules: it is the configuration that names a
// role whose addresses count.
var ruleBeginSteps = []step[*decision]{beginSteps[1], beginSteps[0]}

// identifySteps find out whose the token is. What stands before the review may
// only refuse.
var identifySteps = []step[*attempt]{
	{refusal.StepTokenForm, (*attempt).parseToken},
	{refusal.StepClaims, (*attempt).checkClaims},
	{refusal.StepSignature, (*attempt).checkSignature},
	{refusal.StepReview, (*attempt).review},
	{refusal.StepPosture, (*attempt).checkConfirmed},
}

// postureSteps ask what kind of token it is, where that was confirmed before: of a role that
// a binding rule binds, and on renewal.
var postureSteps = []step[*decision]{{refusal.StepPosture, (*decision).checkPosture}}

// boundSteps ask whether a role is meant for whoever that is. They work on the
// answer of the review alone.
var boundSteps = []step[*decision]{
	{refusal.StepAudience, (*decision).checkAudience},
	{refusal.StepName, (*decision).checkName},
	{refusal.StepNamespace, (*decision).checkNamespace},
	{refusal.StepSelector, (*decision).checkSelector},
}

// boundRoleSteps are those of a role that a binding rule binds.
var boundRoleSteps = append([]step[*decision]{beginSteps[0], postureSteps[0]}, boundSteps...)

// grantSteps find what the binding rules grant to somebody who is known.
var grantSteps = []step[*decision]{
	{refusal.StepRuleRole, (*decision).checkRuleRole},
	{refusal.StepRules, (*decision).applyRules},
}

// aliasSteps end each login.
var aliasSteps = []step[*decision]{{refusal.StepAlias, (*decision).nameAlias}}

// renewalSteps look again at the service account of a token.
var renewalSteps = []step[*decision]{{refusal.StepRenewal, (*decision).checkAccount}}

// podRenewalSteps look again at the pod that logged in for it.
var podRenewalSteps = []step[*decision]{{refusal.StepRenewal, (*decision).checkPod}}

// run goes through steps until one refuses, and returns the first refusal. Further ones
// are judged if the observer wants to hear of them, and change nothing.
func run[T any](ctx context.Context, on T, observer Observer, steps []step[T]) error {
	var refused error
	for _, s := range steps {
		err := outOfTime(ctx)
		if err == nil {
			err = outOfTimeIn(ctx, s.run(on, ctx))
		}
		if err != nil && refused == nil {
			refused = &refusal.StepError{Step: s.name, Err: err}
		}
		if further := observer.StepEnded(s.name, err); refused != nil && !further {
			break
		}
	}
	return refused
}

// outOfTime is the refusal of who has no time left, or has hung up.
func outOfTime(ctx context.Context) error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return &refusal.Refusal{Kind: refusal.CouldNotAsk, Class: string(kube.Canceled), Reason: "the client went away", Err: err}
	default:
		return &refusal.Refusal{
			Kind: refusal.CouldNotAsk, Operator: true, Class: string(kube.Busy), Reason: "there was no time left", Err: err,
			Remedy: "look at what takes the time: the API server's answers, or selectors that search long annotations; request_timeout of the configuration says how much there is",
		}
	}
}

// outOfTimeIn sorts an error of the context's own, which ended a step.
func outOfTimeIn(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) && refusal.KindOf(err) == 0 {
		return outOfTime(ctx)
	}
	return err
}

// Steps are those of a login in their order, under a role or by rules, for whoever lists
// them. throughRole is whether logins by rules go through a role.
func Steps(byRules, throughRole bool) []refusal.Step {
	if !byRules {
		return names(names(names(names(nil, beginSteps), identifySteps), boundSteps), aliasSteps)
	}
	grants := grantSteps
	if !throughRole {
		grants = grants[1:]
	}
	return names(names(names(names(nil, ruleBeginSteps), identifySteps), grants), aliasSteps)
}

func names[T any](before []refusal.Step, steps []step[T]) []refusal.Step {
	for _, s := range steps {
		before = append(before, s.name)
	}
	return before
}

// IsBound tells whether a step asks for one of the bounds of a role. They do not depend
// on each other.
func IsBound(name refusal.Step) bool {
	for _, s := range boundSteps {
		if s.name == name {
			return true
		}
	}
	return false
}
