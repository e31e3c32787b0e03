package main

import (
	"context"
	"errors"
	"slices"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/token"
)

// loginEnd is how a login ended that issued nothing, in the words of the log.
type loginEnd struct {
	kind  refusal.Kind
	step  refusal.Step
	class string
}

// classes are the words that a refusal, or an error, can have as its class.
var classes = func() []string {
	all := []string{refusal.ClassDenied, refusal.ClassInvalid, refusal.ClassConfiguration, refusal.ClassInvalidName, refusal.ClassMetadataLength, refusal.ClassNoReviewer, refusal.ClassStorage}
	for _, failure := range kube.Failures {
		all = append(all, string(failure))
	}
	return all
}()

// known are the words that may become values of labels.
var (
	knownSteps   = wordsOf(refusal.StepRequest, slices.Concat(beginSteps, roleSteps, ruleSteps))
	knownClasses = func() map[string]string {
		words := map[string]string{}
		for _, class := range classes {
			words[class] = word(class)
		}
		return words
	}()
)

func wordsOf(first refusal.Step, steps []loginStep) map[refusal.Step]string {
	words := map[refusal.Step]string{first: word(string(first))}
	for _, s := range steps {
		words[s.name] = word(string(s.name))
	}
	return words
}

// labels are the values of the labels outcome, step and class.
func (e loginEnd) labels() []string {
	at, ok := knownSteps[e.step]
	if !ok {
		at = otherWord
	}
	class, ok := knownClasses[e.class]
	if !ok {
		class = otherWord
	}
	return []string{word(e.kind.String()), at, class}
}

// likelyEnds are those that an alert may be written for before they first happen: a
// counter that is there at 0 shows its first increase.
func likelyEnds() []loginEnd {
	ends := []loginEnd{
		{refusal.Invalid, refusal.StepRequest, refusal.ClassInvalid},
		{refusal.Kind(0), refusal.StepRequest, refusal.ClassStorage},
		{refusal.CouldNotAsk, refusal.StepConfiguration, refusal.ClassConfiguration},
	}
	for _, s := range slices.Concat(beginSteps[:1], identifySteps, boundSteps, []loginStep{{name: refusal.StepRuleRole}, {name: refusal.StepRules}}) {
		ends = append(ends, loginEnd{refusal.Denied, s.name, refusal.ClassDenied})
	}
	for _, failure := range kube.Failures {
		k := refusal.CouldNotAsk
		if failure == kube.Unauthorized || failure == kube.Forbidden {
			k = refusal.Denied
		}
		ends = append(ends, loginEnd{k, refusal.StepReview, string(failure)})
	}
	return append(ends, loginEnd{refusal.Denied, refusal.StepReview, refusal.ClassNoReviewer})
}

// login counts a login that ended with err, nil if it was allowed.
func (m *metrics) login(err error) {
	if err == nil {
		m.allowed.Inc()
		return
	}
	r, at := refusal.WhyEnded(err)
	end := loginEnd{kind: r.Kind, step: at, class: r.Class}
	if counter, ok := m.refused[end]; ok {
		counter.Inc()
		return
	}
	m.logins.WithLabelValues(end.labels()...).Inc()
}

// renewal counts a renewal that ended with err.
func (m *metrics) renewal(err error) {
	outcome := renewalRenewed
	var over renewalOver
	switch {
	case errors.As(err, &over):
		outcome = renewalRefused
	case err != nil:
		outcome = renewalFailed
	}
	m.renewals[outcome].Inc()
}

// countedReviewer counts what the next reviewer says.
type countedReviewer struct {
	next    tokenReviewer
	metrics *metrics
}

// Review is that of the next reviewer.
func (c *countedReviewer) Review(ctx context.Context, t *token.Unverified, audiences []string) (identity.Identity, error) {
	id, err := c.next.Review(ctx, t, audiences)
	result := resultConfirmed
	if err != nil {
		result = word(refusal.KindOf(err).String())
	}
	if counter, ok := c.metrics.reviews[result]; ok {
		counter.Inc()
	}
	return id, err
}
