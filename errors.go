package main

import (
	"errors"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"
)

// kind is what became of a login that did not succeed.
type kind int

const (
	// invalid is a request that could not succeed with any token: a field is
	// missing or names nothing. The caller is told what.
	invalid kind = iota + 1
	// denied is a refusal that depends on the token. The caller learns no more
	// than that.
	denied
	// couldNotAsk says that nobody was there to vouch for the token. It is
	// neither a refusal nor the caller's fault, and worth trying again.
	couldNotAsk
)

func (k kind) String() string {
	switch k {
	case invalid:
		return "invalid"
	case denied:
		return "denied"
	case couldNotAsk:
		return "could not ask"
	}
	return "error"
}

// What callers of the login path read, who may be anybody: always the same words,
// and nothing about the cluster.
const couldNotAskMessage = "the Kubernetes API server could not be asked about this token; try again later"

// refusal ends a login. Its text is for the operator's log and for explain, and
// never reaches the caller of login.
type refusal struct {
	kind   kind
	reason string
	// message is what the caller reads if the kind is invalid. It may repeat what
	// the caller sent, which is why it is kept out of logs.
	message string
	// operator marks refusals that are an operator's to mend: they are worth a line
	// in the log at the default level.
	operator bool
	// tenant is the namespace of the service account whose names, labels or
	// annotations have a part in the refusal, if the operator's rules alone did not
	// cause it. Its owner can cause as many as it likes, so such lines are limited
	// for each namespace.
	tenant string
	// mismatch says that all was looked at, and the bounds of the role do not hold. It
	// is the only refusal over which a role that a binding rule binds is left out; after
	// any other, nobody knows whether the role would have narrowed what is granted.
	mismatch bool
	// remedy is one line on what the operator can do, if anything.
	remedy string
	// class is a short fixed word for log lines; it labels what happened
	// without anything that a stranger chose.
	class string
	err   error
}

func (r *refusal) Error() string {
	switch {
	case r.err == nil:
		return r.reason
	case r.reason == "":
		return r.err.Error()
	}
	return r.reason + ": " + r.err.Error()
}

func (r *refusal) Unwrap() error { return r.err }

func refuseInvalid(reason, message string) error {
	return &refusal{kind: invalid, reason: reason, message: message, class: "invalid request"}
}

func deny(reason string) error {
	return &refusal{kind: denied, reason: reason, class: "denied"}
}

// notBound refuses since the bounds of a role do not hold.
func notBound(reason string) error {
	return &refusal{kind: denied, reason: reason, class: "denied", mismatch: true}
}

func denyFor(err error) error {
	return &refusal{kind: denied, err: err, class: "denied"}
}

// misconfigured is a refusal that only an operator can mend, although the API
// server need not be down.
func misconfigured(reason, remedy string, err error) error {
	return &refusal{kind: couldNotAsk, reason: reason, remedy: remedy, err: err, operator: true, class: "configuration"}
}

// respond turns the error of a login into the host's response; it is the only
// place that does. Errors that are not refusals are the host's own (storage) and
// pass as they were.
func respond(err error) (*logical.Response, error) {
	var r *refusal
	if !errors.As(err, &r) {
		var at *stepError
		if errors.As(err, &at) {
			err = at.err
		}
		return nil, err
	}
	switch r.kind {
	case invalid:
		return logical.ErrorResponse(r.message), nil
	case denied:
		return nil, logical.ErrPermissionDenied
	default:
		return nil, logical.CodedError(http.StatusServiceUnavailable, couldNotAskMessage)
	}
}
