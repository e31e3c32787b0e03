package main

import (
	"context"
	"errors"
	"slices"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/token"
)

// loginEnd is how a login ended that issued nothing, in the words of the log.
type loginEnd struct {
	kind  kind
	step  step
	class string
}

// classes are the words that a refusal, or an error, can have as its class.
var classes = func() []string {
	all := []string{"denied", "invalid request", "configuration", "invalid name", "metadata length", noReviewer, "storage"}
	for _, failure := range kube.Failures {
		all = append(all, string(failure))
	}
	return all
}()

// known are the words that may become values of labels.
var (
	knownSteps   = wordsOf(requestStep, slices.Concat(beginSteps, roleSteps, ruleSteps))
	knownClasses = func() map[string]string {
		words := map[string]string{}
		for _, class := range classes {
			words[class] = word(class)
		}
		return words
	}()
)

func wordsOf(first step, steps []loginStep) map[step]string {
	words := map[step]string{first: word(string(first))}
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
		{invalid, requestStep, "invalid request"},
		{kind(0), requestStep, "storage"},
		{couldNotAsk, "configuration", "configuration"},
	}
	for _, s := range slices.Concat(beginSteps[:1], identifySteps, boundSteps, []loginStep{{name: ruleRoleStep}, {name: "binding rules"}}) {
		ends = append(ends, loginEnd{denied, s.name, "denied"})
	}
	for _, failure := range kube.Failures {
		k := couldNotAsk
		if failure == kube.Unauthorized || failure == kube.Forbidden {
			k = denied
		}
		ends = append(ends, loginEnd{k, "token review", string(failure)})
	}
	return append(ends, loginEnd{denied, "token review", noReviewer})
}

// login counts a login that ended with err, nil if it was allowed.
func (m *metrics) login(err error) {
	if err == nil {
		m.allowed.Inc()
		return
	}
	r, at := whyEnded(err)
	end := loginEnd{kind: r.kind, step: at, class: r.class}
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
		result = word(kindOf(err).String())
	}
	if counter, ok := c.metrics.reviews[result]; ok {
		counter.Inc()
	}
	return id, err
}
