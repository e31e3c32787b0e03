package serve

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/vault/sdk/plugin/pb"
)

// errPassedOn is what the next handler of these tests answers.
var errPassedOn = errors.New("passed on")

func passOn(context.Context, any) (any, error) { return nil, errPassedOn }

func TestSkipExistence(t *testing.T) {
	skip := skipExistenceOf("login")
	answer, err := skip(t.Context(), &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: "login"}}, nil, passOn)
	if err != nil {
		t.Fatal(err)
	}
	if reply := answer.(*pb.HandleExistenceCheckReply); reply.CheckFound || reply.Exists || reply.Err != nil {
		t.Errorf("got %v, want nothing found", reply)
	}
	for name, request := range map[string]any{
		"a role":             &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: "role/demo"}},
		"a role named login": &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: "role/login"}},
		"a login itself":     &pb.HandleRequestArgs{Request: &pb.Request{Path: "login"}},
		"nothing in it":      &pb.HandleExistenceCheckArgs{},
	} {
		if _, err := skip(t.Context(), request, nil, passOn); !errors.Is(err, errPassedOn) {
			t.Errorf("%s: answered with %v", name, err)
		}
	}
}
