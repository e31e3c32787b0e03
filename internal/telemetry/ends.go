package telemetry

import (
	"errors"
	"slices"

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
func (e loginEnd) labels() []string {
	at, ok := knownSteps[e.step]
	if !ok {
		at = Other
	}
	class, ok := knownClasses[e.class]
	if !ok {
		class = Other
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
	for _, s := range refusal.LoginSteps {
		if s != refusal.StepConfiguration && s != refusal.StepAlias { // no token is refused there
			ends = append(ends, loginEnd{refusal.Denied, s, refusal.ClassDenied})
		}
	}
	for _, failure := range kube.Failures {
		k := refusal.CouldNotAsk
		if failure.Refuses() {
			k = refusal.Denied
		}
		ends = append(ends, loginEnd{k, refusal.StepReview, string(failure)})
	}
	return append(ends, loginEnd{refusal.Denied, refusal.StepReview, refusal.ClassNoReviewer})
}

// Login counts a login that ended with err, nil if it was allowed.
func (m *Metrics) Login(err error) {
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
