package telemetry

import (
	"errors"
	"slices"
	"sync"

	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// loginEnd is how a login ended that issued nothing, in the words of the log.
type loginEnd struct {
	kind  refusal.Kind
	step  refusal.Step
	class string
}

// Classes are the words that a refusal, or an error, can have as its class.
var Classes = func() []string {
	all := []string{refusal.ClassDenied, refusal.ClassInvalid, refusal.ClassConfiguration, refusal.ClassInvalidName, refusal.ClassMetadataLength, refusal.ClassNoReviewer, refusal.ClassStorage}
	for _, failure := range kube.Failures {
		all = append(all, string(failure))
	}
	for _, failure := range consulacl.Failures {
		all = append(all, string(failure))
	}
	return all
}()

// known are the words that may become values of labels.
var (
	knownSteps   = wordsOf(slices.Concat([]refusal.Step{refusal.StepRequest}, refusal.LoginSteps, refusal.ConsulSteps))
	knownClasses = func() map[string]string {
		words := map[string]string{}
		for _, class := range Classes {
			words[class] = word(class)
		}
		return words
	}()
)

func wordsOf(steps []refusal.Step) map[refusal.Step]string {
	words := map[refusal.Step]string{}
	for _, s := range steps {
		words[s] = word(string(s))
	}
	return words
}

// labels are the values of the labels outcome, step and class.
func (e loginEnd) labels() labels {
	at, ok := knownSteps[e.step]
	if !ok {
		at = Other
	}
	class, ok := knownClasses[e.class]
	if !ok {
		class = Other
	}
	return labels{word(e.kind.String()), at, class}
}

// allowed is how a login ended that was.
var allowed = labels{"allowed"}

// askingSteps are those that ask the cluster, and so may end in any of its failures.
var askingSteps = []refusal.Step{
	refusal.StepSignature, refusal.StepReview, refusal.StepNamespace, refusal.StepSelector, refusal.StepAlias,
	refusal.StepRuleRole, refusal.StepRules,
}

// loginEnds are the ways in which a login may end.
var loginEnds = sync.OnceValue(func() *rows {
	ends := []loginEnd{
		{refusal.Invalid, refusal.StepRequest, refusal.ClassInvalid},
		{refusal.Kind(0), refusal.StepConfiguration, refusal.ClassConfiguration},
		{refusal.CouldNotAsk, refusal.StepConfiguration, refusal.ClassConfiguration},
		{refusal.Denied, refusal.StepReview, refusal.ClassNoReviewer},
		{refusal.Denied, refusal.StepRules, refusal.ClassInvalidName},
		{refusal.Denied, refusal.StepRules, refusal.ClassMetadataLength},
		{refusal.Invalid, refusal.StepAlias, refusal.ClassInvalid}, // an annotation that is reserved
		{refusal.Invalid, refusal.StepRules, refusal.ClassInvalid}, // roles for addresses that nobody has
	}
	for _, s := range refusal.LoginSteps {
		if s != refusal.StepConfiguration { // no token is refused there
			ends = append(ends, loginEnd{refusal.Denied, s, refusal.ClassDenied})
		}
	}
	for _, s := range []refusal.Step{refusal.StepRequest, refusal.StepConfiguration, refusal.StepRuleRole, refusal.StepRules} {
		ends = append(ends, loginEnd{refusal.Kind(0), s, refusal.ClassStorage})
	}
	for _, s := range []refusal.Step{refusal.StepConfiguration, refusal.StepClaims, refusal.StepSignature, refusal.StepReview, refusal.StepNamespace, refusal.StepSelector, refusal.StepRuleRole, refusal.StepRules} {
		ends = append(ends, loginEnd{refusal.Denied, s, refusal.ClassConfiguration})
	}
	all := []labels{allowed}
	for _, end := range append(ends, failuresIn(askingSteps...)...) {
		all = append(all, end.labels())
	}
	return newRows(all)
})

// failuresIn are the ways in which steps end that ask the cluster.
func failuresIn(steps ...refusal.Step) (ends []loginEnd) {
	for _, s := range steps {
		for _, failure := range kube.Failures {
			k := refusal.CouldNotAsk
			// An object that is not there is an answer; a path that is not there is none.
			isAnswer := failure == kube.NotFound && s != refusal.StepReview && s != refusal.StepSignature
			if failure.Refuses() || isAnswer {
				k = refusal.Denied
			}
			ends = append(ends, loginEnd{k, s, string(failure)})
		}
	}
	return ends
}

// Login counts a login that ended with err, nil if it was allowed.
func (m *Metrics) Login(err error) {
	if err == nil {
		m.logins.inc(allowed)
		return
	}
	r, at := refusal.WhyEnded(err)
	m.logins.inc(loginEnd{kind: r.Kind, step: at, class: r.Class}.labels())
}

// Renewal counts a renewal that ended with err.
func (m *Metrics) Renewal(err error) {
	outcome := renewalRenewed
	var over refusal.RenewalOver
	switch {
	case errors.As(err, &over):
		outcome = renewalRefused
	case err != nil:
		outcome = renewalFailed
	}
	m.renewals[outcome].Inc()
}

// Reviewed counts what became of a TokenReview.
func (m *Metrics) Reviewed(err error) {
	result := Confirmed
	if err != nil {
		result = word(refusal.KindOf(err).String())
	}
	if counter, ok := m.reviews[result]; ok {
		counter.Inc()
	}
}
