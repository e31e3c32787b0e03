package refusal

import (
	"context"
	"errors"
	"fmt"
)

// StepError tells in which step a login ended.
type StepError struct {
	Step Step
	Err  error
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }
func (e *StepError) Unwrap() error { return e.Err }

// WithoutStep is the error that ended a step, without its name.
func WithoutStep(err error) error {
	var at *StepError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// ErrNoConfiguration is in Vault's own words, and has its status: 500.
var ErrNoConfiguration = errors.New("could not load backend configuration")

// WhyEnded sorts the error that ended a login: the refusal, or what stands for one
// where the error is the host's own, and the step.
func WhyEnded(err error) (*Refusal, Step) {
	var r *Refusal
	if !errors.As(err, &r) {
		r = &Refusal{Err: err, Operator: true, Class: ClassStorage}
		if errors.Is(err, context.Canceled) { // the client went away
			r.Operator, r.Class = false, classCanceled
		}
		if errors.Is(err, ErrNoConfiguration) {
			r.Class, r.Remedy = ClassConfiguration, "write the configuration"
		}
	}
	return r, StepOf(err)
}

// StepOf is the step in which a login ended.
func StepOf(err error) Step {
	var at *StepError
	if errors.As(err, &at) {
		return at.Step
	}
	return StepRequest
}

// KindOf is the kind of the refusal that ended a login, or 0 for an error that says
// nothing about it.
func KindOf(err error) Kind {
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return r.Kind
	case errors.Is(err, ErrNoConfiguration):
		return CouldNotAsk
	}
	return 0
}

// CouldNotLook tells whether an error leaves open what the cluster would have said: it
// could not be reached, or the reviewer was not let in.
func CouldNotLook(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && (r.Kind == CouldNotAsk || r.Unseen)
}

// IsMismatch tells whether a step ended since the bounds of a role do not hold.
func IsMismatch(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.mismatch
}

// RenewalOver says why a token is not renewed any more. Its holder reads it.
type RenewalOver string

func (o RenewalOver) Error() string { return string(o) }
