package refusal

// Step names a part of a login, in logs, metrics and wherever a login is explained.
type Step string

// The steps of a login, in the order in which one under a role has them, and then those
// of one by rules.
const (
	StepAddress       Step = "source address"
	StepConfiguration Step = "configuration"
	StepTokenForm     Step = "token form"
	StepClaims        Step = "unverified claims"
	StepSignature     Step = "signature"
	StepReview        Step = "token review"
	StepPosture       Step = "token posture"
	StepAudience      Step = "audience"
	StepName          Step = "service account name"
	StepNamespace     Step = "namespace"
	StepSelector      Step = "selector"
	StepAlias         Step = "alias"

	StepRuleRole Step = "binding rule role"
	StepRules    Step = "binding rules"

	// Those of a login for a Consul token, in place of the last ones.
	StepAccount     Step = "service account"
	StepConsulRules Step = "consul binding rules"
	StepConsulToken Step = "consul token"
)

// LoginSteps are those that a login can end in.
var LoginSteps = []Step{
	StepAddress, StepConfiguration, StepTokenForm, StepClaims, StepSignature, StepReview, StepPosture,
	StepAudience, StepName, StepNamespace, StepSelector, StepAlias, StepRuleRole, StepRules,
}

// ConsulSteps are those that a login for a Consul token can end in.
var ConsulSteps = []Step{
	StepAddress, StepConfiguration, StepTokenForm, StepClaims, StepSignature, StepReview, StepAccount,
	StepRuleRole, StepConsulRules, StepConsulToken,
}

// What is no step of a login and has a line in the log.
const (
	// StepRequest is where a login ends that no step of it was reached for.
	StepRequest Step = "request"
	// StepToken is Vault's making of the token, after all steps; explain looks ahead at it.
	StepToken Step = "token"
	// StepSupposed takes the place of the review where there is no token, and somebody
	// wants to know what a service account would get.
	StepSupposed Step = "supposed account"
	// StepRenewal is the renewal of a token.
	StepRenewal Step = "renewal"
	// StepReviewerToken is the making of the reviewer's next token.
	StepReviewerToken Step = "reviewer token"
	// StepFollowing is what verification=live does beside logins.
	StepFollowing Step = "following"
	// StepSeveralNames is a warning about a login that was allowed.
	StepSeveralNames Step = "several names"
)

// Classes label refusals, beside the kinds of failures of the Kubernetes API: what
// happened, without anything that a stranger chose.
const (
	ClassDenied         = "denied"
	ClassInvalid        = "invalid request"
	ClassConfiguration  = "configuration"
	ClassStorage        = "storage"
	ClassInvalidName    = "invalid name"
	ClassMetadataLength = "metadata length"
	// ClassNoReviewer is for logins that fail since no reviewer is configured. Apart from
	// the others, so that their lines in the log, which any token can cause, keep none of
	// the others from being written.
	ClassNoReviewer = "no reviewer"
	// classCanceled is that of a client that went away.
	classCanceled = "canceled"
)
