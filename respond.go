package main

import (
	"errors"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
)

// What callers of the login path read, who may be anybody: always the same words,
// and nothing about the cluster.
const couldNotAskMessage = "the Kubernetes API server could not be asked about this token; try again later"

// respond turns the error of a login into the host's response; it is the only
// place that does. Errors that are not refusals are the host's own (storage) and
// pass as they were.
func respond(err error) (*logical.Response, error) {
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		return nil, refusal.WithoutStep(err)
	}
	switch r.Kind {
	case refusal.Invalid:
		return logical.ErrorResponse(r.Message), nil
	case refusal.Denied:
		return nil, logical.ErrPermissionDenied
	default:
		return nil, logical.CodedError(http.StatusServiceUnavailable, couldNotAskMessage)
	}
}

// clientSees is the status and the message of the answer to a login that ends with err.
func clientSees(err error) (status int, message string) {
	response, err := respond(err)
	var coded logical.HTTPCodedError
	switch {
	case err == nil:
		return http.StatusBadRequest, response.Error().Error()
	case errors.As(err, &coded):
		return coded.Code(), err.Error()
	case errors.Is(err, logical.ErrPermissionDenied):
		return http.StatusForbidden, err.Error()
	}
	return http.StatusInternalServerError, err.Error()
}
