package main

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin/pb"
)

// The short cut must say what the long way would.
func TestSkipExistenceOfLogin(t *testing.T) {
	m := newDemo(t, nil, nil)
	found, exists, err := m.HandleExistenceCheck(t.Context(), &logical.Request{Operation: logical.CreateOperation, Path: loginPath, Storage: m.storage})
	if err != nil {
		t.Fatal(err)
	}
	errPassed := errors.New("passed on")
	passOn := func(context.Context, any) (any, error) { return nil, errPassed }
	answer, err := skipExistenceOfLogin(t.Context(), &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: loginPath}}, nil, passOn)
	if err != nil {
		t.Fatal(err)
	}
	if reply := answer.(*pb.HandleExistenceCheckReply); reply.CheckFound != found || reply.Exists != exists || reply.Err != nil {
		t.Errorf("got %v, want check found %t, exists %t", reply, found, exists)
	}
	for name, request := range map[string]any{
		"a role":             &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: "role/demo"}},
		"a role named login": &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: "role/login"}},
		"a login itself":     &pb.HandleRequestArgs{Request: &pb.Request{Path: loginPath}},
		"nothing in it":      &pb.HandleExistenceCheckArgs{},
	} {
		if _, err := skipExistenceOfLogin(t.Context(), request, nil, passOn); !errors.Is(err, errPassed) {
			t.Errorf("%s: answered with %v", name, err)
		}
	}
}

func TestSpareHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	if got := len(spareHeap()); got != spareHeapBytes {
		t.Errorf("%d bytes", got)
	}
	t.Setenv("GOGC", "50")
	if got := len(spareHeap()); got != 0 {
		t.Errorf("%d bytes, although the operator tunes the collector", got)
	}
}
