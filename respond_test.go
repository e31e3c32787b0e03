package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

func TestRespond(t *testing.T) {
	secret := errors.New("the namespace kube-system")
	for name, row := range map[string]struct {
		err    error
		status int
		words  string
	}{
		"invalid":              {refusal.OfRequest("missing jwt", "missing jwt"), http.StatusBadRequest, "missing jwt"},
		"denied":               {refusal.Deny("not bound to kube-system"), http.StatusForbidden, "permission denied"},
		"denied for an error":  {refusal.DenyFor(secret), http.StatusForbidden, "permission denied"},
		"could not ask":        {&refusal.Refusal{Kind: refusal.CouldNotAsk, Err: secret}, http.StatusServiceUnavailable, couldNotAskMessage},
		"misconfigured":        {refusal.Misconfigured("no CA", "write one", secret), http.StatusServiceUnavailable, couldNotAskMessage},
		"a refusal of no kind": {&refusal.Refusal{Err: secret}, http.StatusServiceUnavailable, couldNotAskMessage},
		"storage":              {errStorage, http.StatusInternalServerError, "storage is sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			for form, err := range map[string]error{
				"bare": row.err, "in a step": &refusal.StepError{Step: "token review", Err: row.err}, "wrapped": fmt.Errorf("logging in: %w", row.err),
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
	for want, r := range map[string]*refusal.Refusal{
		"reason":        {Reason: "reason"},
		"cause":         {Err: cause},
		"reason: cause": {Reason: "reason", Err: cause},
	} {
		if r.Error() != want || r.Err != nil && !errors.Is(r, cause) {
			t.Errorf("%q, want %q", r.Error(), want)
		}
	}
	for k, want := range map[refusal.Kind]string{refusal.Invalid: "invalid", refusal.Denied: "denied", refusal.CouldNotAsk: "could not ask", 0: "error"} {
		if k.String() != want {
			t.Errorf("%d is %q, want %q", k, k, want)
		}
	}
}

// Each failure of the API, as a review and as a look-up. No new one may become a
// denial unnoticed.
func TestRefusalFromAPI(t *testing.T) {
	for failure, row := range map[kube.Failure]struct{ review, lookUp refusal.Kind }{
		kube.Unauthorized: {refusal.Denied, refusal.Denied},
		kube.Forbidden:    {refusal.Denied, refusal.Denied},
		kube.NotFound:     {refusal.CouldNotAsk, refusal.Denied},
		kube.Throttled:    {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.ServerError:  {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.Timeout:      {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.Canceled:     {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.DNS:          {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.TLS:          {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.Connection:   {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.Malformed:    {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.Setup:        {refusal.CouldNotAsk, refusal.CouldNotAsk},
		kube.Busy:         {refusal.CouldNotAsk, refusal.CouldNotAsk},
		"a new one":       {refusal.CouldNotAsk, refusal.CouldNotAsk},
	} {
		for _, self := range []bool{false, true} {
			cause := &kube.Error{Op: "x", Failure: failure, Err: errors.New("cause")}
			review := (&apiReviewer{selfReview: func() bool { return self }}).refusal(cause)
			lookUp := cluster.Refusal(cause, self, kube.Unauthorized, kube.Forbidden, kube.NotFound)
			for name, row := range map[string]struct {
				err  error
				want refusal.Kind
			}{"review": {review, row.review}, "look-up": {lookUp, row.lookUp}} {
				var r *refusal.Refusal
				if !errors.As(row.err, &r) || !errors.Is(row.err, cause) {
					t.Fatalf("%s, %s: %v", failure, name, row.err)
				}
				// A client can cause only what its own credential is rejected
				// for, and its own going away. That it may not review itself is
				// for the operator to mend.
				class, byClient := string(failure), failure == kube.Canceled || self && row.want == refusal.Denied
				if self && failure == kube.Forbidden && name == "review" {
					class, byClient = "no reviewer", false
				}
				if r.Kind != row.want || r.Operator == byClient || r.Class != class {
					t.Errorf("%s, %s, self-review %t: %+v, want the kind %s", failure, name, self, r, row.want)
				}
			}
		}
	}
	if err := cluster.Refusal(errStorage, false); !errors.Is(err, errStorage) {
		t.Errorf("another error became %v", err)
	}
}

// What stands for a client that went away is the word that requests to the cluster have
// for it.
func TestClassOfACanceledLogin(t *testing.T) {
	if r, _ := refusal.WhyEnded(context.Canceled); r.Class != string(kube.Canceled) || r.Operator {
		t.Errorf("%+v", r)
	}
}
