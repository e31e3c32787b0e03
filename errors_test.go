package main

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kube"
)

func TestRespond(t *testing.T) {
	secret := errors.New("the namespace kube-system")
	for name, row := range map[string]struct {
		err    error
		status int
		words  string
	}{
		"invalid":              {refuseInvalid("missing jwt", "missing jwt"), http.StatusBadRequest, "missing jwt"},
		"denied":               {deny("not bound to kube-system"), http.StatusForbidden, "permission denied"},
		"denied for an error":  {denyFor(secret), http.StatusForbidden, "permission denied"},
		"could not ask":        {&refusal{kind: couldNotAsk, err: secret}, http.StatusServiceUnavailable, couldNotAskMessage},
		"misconfigured":        {misconfigured("no CA", "write one", secret), http.StatusServiceUnavailable, couldNotAskMessage},
		"a refusal of no kind": {&refusal{err: secret}, http.StatusServiceUnavailable, couldNotAskMessage},
		"storage":              {errStorage, http.StatusInternalServerError, "storage is sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			for form, err := range map[string]error{
				"bare": row.err, "in a step": &stepError{step: "token review", err: row.err}, "wrapped": fmt.Errorf("logging in: %w", row.err),
			} {
				response, err := respond(err)
				o := outcomeOf(&logical.Request{Operation: logical.UpdateOperation}, response, err)
				if o.status != row.status {
					t.Errorf("%s: %d, want %d", form, o.status, row.status)
				}
				if row.status != http.StatusInternalServerError && o.message != row.words {
					t.Errorf("%s: the caller reads %q, want %q", form, o.message, row.words)
				}
				if row.status == http.StatusInternalServerError && !errors.Is(o.err, errStorage) {
					t.Errorf("%s: the error was lost: %v", form, o.err)
				}
			}
		})
	}
}

func TestRefusalText(t *testing.T) {
	cause := errors.New("cause")
	for want, r := range map[string]*refusal{
		"reason":        {reason: "reason"},
		"cause":         {err: cause},
		"reason: cause": {reason: "reason", err: cause},
	} {
		if r.Error() != want || r.err != nil && !errors.Is(r, cause) {
			t.Errorf("%q, want %q", r.Error(), want)
		}
	}
	for k, want := range map[kind]string{invalid: "invalid", denied: "denied", couldNotAsk: "could not ask", 0: "error"} {
		if k.String() != want {
			t.Errorf("%d is %q, want %q", k, k, want)
		}
	}
}

// Each failure of the API, as a review and as a look-up. No new one may become a
// denial unnoticed.
func TestRefusalFromAPI(t *testing.T) {
	for failure, row := range map[kube.Failure]struct{ review, lookUp kind }{
		kube.Unauthorized: {denied, denied},
		kube.Forbidden:    {denied, denied},
		kube.NotFound:     {couldNotAsk, denied},
		kube.Throttled:    {couldNotAsk, couldNotAsk},
		kube.ServerError:  {couldNotAsk, couldNotAsk},
		kube.Timeout:      {couldNotAsk, couldNotAsk},
		kube.Canceled:     {couldNotAsk, couldNotAsk},
		kube.DNS:          {couldNotAsk, couldNotAsk},
		kube.TLS:          {couldNotAsk, couldNotAsk},
		kube.Connection:   {couldNotAsk, couldNotAsk},
		kube.Malformed:    {couldNotAsk, couldNotAsk},
		kube.Setup:        {couldNotAsk, couldNotAsk},
		kube.Busy:         {couldNotAsk, couldNotAsk},
		"a new one":       {couldNotAsk, couldNotAsk},
	} {
		for _, self := range []bool{false, true} {
			cause := &kube.Error{Op: "x", Failure: failure, Err: errors.New("cause")}
			review := (&apiReviewer{selfReview: func() bool { return self }}).refusal(cause)
			lookUp := refusalFromAPI(cause, self, kube.Unauthorized, kube.Forbidden, kube.NotFound)
			for name, row := range map[string]struct {
				err  error
				want kind
			}{"review": {review, row.review}, "look-up": {lookUp, row.lookUp}} {
				var r *refusal
				if !errors.As(row.err, &r) || !errors.Is(row.err, cause) {
					t.Fatalf("%s, %s: %v", failure, name, row.err)
				}
				// A client can cause only what its own credential is rejected
				// for, and its own going away. That it may not review itself is
				// for the operator to mend.
				class, byClient := string(failure), failure == kube.Canceled || self && row.want == denied
				if self && failure == kube.Forbidden && name == "review" {
					class, byClient = "no reviewer", false
				}
				if r.kind != row.want || r.operator == byClient || r.class != class {
					t.Errorf("%s, %s, self-review %t: %+v, want the kind %s", failure, name, self, r, row.want)
				}
			}
		}
	}
	if err := refusalFromAPI(errStorage, false); !errors.Is(err, errStorage) {
		t.Errorf("another error became %v", err)
	}
}
