package kube

import (
	"context"
	"net/http"
	"strings"
)

// kube-apiserver ends the connection of a request that it answers with 401, and lets it
// know by HTTP/2's GOAWAY. Other requests that are on that connection by then, or come
// right after, are not looked at. Where the reviewer's credential is rejected that happens
// all the time, so a second attempt among the others would end as the first did, and look
// like an API server that cannot be reached. It goes over a connection of its own.

type ownConnectionKey struct{}

func withOwnConnection(ctx context.Context) context.Context {
	return context.WithValue(ctx, ownConnectionKey{}, true)
}

func wantsOwnConnection(ctx context.Context) bool {
	wants, _ := ctx.Value(ownConnectionKey{}).(bool)
	return wants
}

// sentAway tells whether a request was not looked at since the API server ended the
// connection, before it came or just then. net/http has no types for these.
func sentAway(err error) bool {
	if !classed(err, Connection) {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "GOAWAY") || strings.Contains(text, "cannot rewind body after connection loss")
}

// alone sends a request over a connection that no other uses, and closes it afterwards.
func alone(t *transport, request *http.Request) (*http.Response, error) {
	response, err := t.RoundTrip(request)
	if err != nil {
		t.close()
		return nil, err
	}
	response.Body = &endingBody{ReadCloser: response.Body, end: t.close}
	return response, nil
}
