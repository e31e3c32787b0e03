package main

import (
	"context"
	"errors"
	"runtime"
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

func TestLimitProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	for machine, want := range map[int]int{1: 1, 2: 1, 4: 1, 8: 2, 64: 16} {
		t.Setenv("GOMAXPROCS", "")
		runtime.GOMAXPROCS(machine)
		limitProcessors()
		if got := runtime.GOMAXPROCS(0); got != want {
			t.Errorf("%d of %d processors, want %d", got, machine, want)
		}
		t.Setenv("GOMAXPROCS", "3")
		runtime.GOMAXPROCS(3)
		limitProcessors()
		if got := runtime.GOMAXPROCS(0); got != 3 {
			t.Errorf("%d processors, although the operator said 3", got)
		}
	}
}
