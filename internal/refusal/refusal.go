// Package refusal is how a login ends that is not allowed: the kinds of that, where it
// happened and why, and what an error comes to. It knows nothing of Vault, of the network
// or of how a login goes; the words that label logs and metrics are defined here and
// nowhere else.
package refusal

// Kind is what became of a login that did not succeed.
type Kind int

const (
	// Invalid is a request that could not succeed with any token: a field is
	// missing or names nothing. The caller is told what.
	Invalid Kind = iota + 1
	// Denied is a refusal that depends on the token. The caller learns no more
	// than that.
	Denied
	// CouldNotAsk says that nobody was there to vouch for the token. It is
	// neither a refusal nor the caller's fault, and worth trying again.
	CouldNotAsk
)

func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case Denied:
		return "denied"
	case CouldNotAsk:
		return "could not ask"
	}
	return "error"
}

// Refusal ends a login. Its text is for the operator's log and for explain, and
// never reaches the caller of login.
type Refusal struct {
	Kind   Kind
	Reason string
	// Message is what the caller reads if the kind is invalid. It may repeat what
	// the caller sent, which is why it is kept out of logs.
	Message string
	// Operator marks refusals that are an operator's to mend: they are worth a line
	// in the log at the default level.
	Operator bool
	// Tenant is the namespace of the service account whose names, labels or
	// annotations have a part in the refusal, if the operator's rules alone did not
	// cause it. Its owner can cause as many as it likes, so such lines are limited
	// for each namespace.
	Tenant string
	// mismatch says that all was looked at, and the bounds of the role do not hold. It
	// is the only refusal over which a role that a binding rule binds is left out; after
	// any other, nobody knows whether the role would have narrowed what is granted.
	mismatch bool
	// Remedy is one line on what the operator can do, if anything.
	Remedy string
	// Class is a short fixed word for log lines; it labels what happened
	// without anything that a stranger chose.
	Class string
	// Unseen says that the cluster did not let itself be looked at: the credential was
	// rejected or lacks a permission. What a look would have shown is then as open as
	// where nobody answered.
	Unseen bool
	Err    error
}

func (r *Refusal) Error() string {
	switch {
	case r.Err == nil:
		return r.Reason
	case r.Reason == "":
		return r.Err.Error()
	}
	return r.Reason + ": " + r.Err.Error()
}

func (r *Refusal) Unwrap() error { return r.Err }

// OfRequest refuses a request that could not succeed with any token. The message is for
// the caller, the reason for the operator.
func OfRequest(reason, message string) error {
	return &Refusal{Kind: Invalid, Reason: reason, Message: message, Class: ClassInvalid}
}

// Deny refuses a token.
func Deny(reason string) error {
	return &Refusal{Kind: Denied, Reason: reason, Class: ClassDenied}
}

// NotBound refuses since the bounds of a role do not hold.
func NotBound(reason string) error {
	return &Refusal{Kind: Denied, Reason: reason, Class: ClassDenied, mismatch: true}
}

// NotBoundUnless is NotBound, with what can be done about it.
func NotBoundUnless(remedy, reason string) error {
	return &Refusal{Kind: Denied, Reason: reason, Remedy: remedy, Class: ClassDenied, mismatch: true}
}

// DenyFor refuses a token for what err says of it.
func DenyFor(err error) error {
	return &Refusal{Kind: Denied, Err: err, Class: ClassDenied}
}

// Misconfigured is a refusal that only an operator can mend, although the API
// server need not be down.
func Misconfigured(reason, remedy string, err error) error {
	return &Refusal{Kind: CouldNotAsk, Reason: reason, Remedy: remedy, Err: err, Operator: true, Class: ClassConfiguration}
}

// Missing refuses a request that has no value for a field.
func Missing(field string) error {
	return OfRequest("missing "+field, "missing "+field)
}
