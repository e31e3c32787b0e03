package main

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin/pb"
)

var errPassedOn = errors.New("passed on")

// ask is a request to the server that has only the short cuts.
func ask(t *testing.T, request any) (any, error) {
	t.Helper()
	return answerAtOnce(t.Context(), request, nil, func(context.Context, any) (any, error) { return nil, errPassedOn })
}

// The short cut must say what the long way would.
func TestExistenceIsAnsweredAtOnce(t *testing.T) {
	m := newDemo(t, nil, nil)
	found, exists, err := m.HandleExistenceCheck(t.Context(), &logical.Request{Operation: logical.CreateOperation, Path: loginPath, Storage: m.storage})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ask(t, &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: loginPath}})
	if err != nil {
		t.Fatal(err)
	}
	if reply := answer.(*pb.HandleExistenceCheckReply); reply.CheckFound != found || reply.Exists != exists || reply.Err != nil {
		t.Errorf("got %v, want check found %t, exists %t", reply, found, exists)
	}
}

// So must this one, for whatever role a client names.
func TestRoleIsResolvedAtOnce(t *testing.T) {
	m := newDemo(t, nil, nil)
	for name, data := range map[string]fields{
		"role and token":     {"role": "demo", "jwt": "a.b.c"},
		"role alone":         {"role": "demo"},
		"role that is not":   {"role": "other"},
		"upper case":         {"role": "DEMO"},
		"empty role":         {"role": "", "jwt": "a.b.c"},
		"to be escaped":      {"role": "\"\\\n<>\u2028é\x00"},
		"broken text":        {"role": "a\xff"},
		"field in caps":      {"role": "demo", "ROLE": "other"},
		"long":               {"role": strings.Repeat("r", 1<<16)},
		"fields that are no": {"role": "demo", "rôle": 1, "nested": fields{"role": "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			request := resolution(t, data)
			answer, err := ask(t, request)
			if err != nil {
				t.Fatal(err)
			}
			m.wantLongWay(t, request, answer.(*pb.HandleRequestReply))
		})
	}
}

// wantLongWay compares the answer to a question for a role with what the backend says.
func (m *mount) wantLongWay(t *testing.T, asked *pb.HandleRequestArgs, answer *pb.HandleRequestReply) {
	t.Helper()
	got, err := pb.ProtoResponseToLogicalResponse(answer.GetResponse())
	if err != nil {
		t.Fatal(err)
	}
	request, err := pb.ProtoRequestToLogicalRequest(asked.GetRequest())
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.HandleRequest(t.Context(), request)
	if err != nil || want.IsError() {
		t.Fatalf("the long way: %v, %v", want, err)
	}
	if !maps.Equal(got.Data, want.Data) || answer.GetErr() != nil {
		t.Errorf("got %v, want %v", got.Data, want.Data)
	}
}

// Whatever is answered at once is answered as the long way does.
func FuzzResolvedRole(f *testing.F) {
	for _, data := range []string{
		`{"jwt":"a.b.c","role":"demo"}`, `{"role":"demo","role":"other"}`, `{"role":"\ud800"}`, `{"role":" x"}`,
		`{"role":{"role":"demo"}}`, `{"role":null}`, `{"ROLE":"demo"}`, `{"role":"demo"}x`, `null`, ``,
	} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data string) {
		if answer := resolvedRole(data); answer != nil {
			asked := resolution(t, nil)
			asked.Request.Data = data
			newMount(t).wantLongWay(t, asked, answer)
		}
	})
}

// resolution is the host's question for the role of a login.
func resolution(t *testing.T, data fields) *pb.HandleRequestArgs {
	t.Helper()
	request, err := pb.LogicalRequestToProtoRequest(&logical.Request{Operation: logical.ResolveRoleOperation, Path: loginPath, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return &pb.HandleRequestArgs{Request: request}
}

// All else takes the long way.
func TestNothingElseIsAnsweredAtOnce(t *testing.T) {
	elsewhere := resolution(t, fields{"role": "demo"})
	elsewhere.Request.Path = "role/demo"
	notJSON := resolution(t, nil)
	notJSON.Request.Data = "x"
	for name, request := range map[string]any{
		"a role":                      &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: "role/demo"}},
		"a role named login":          &pb.HandleExistenceCheckArgs{Request: &pb.Request{Path: "role/login"}},
		"a login itself":              &pb.HandleRequestArgs{Request: &pb.Request{Path: loginPath, Operation: "update", Data: `{"role":"demo"}`}},
		"an alias look-ahead":         &pb.HandleRequestArgs{Request: &pb.Request{Path: loginPath, Operation: "alias-lookahead", Data: `{"role":"demo"}`}},
		"no existence check":          &pb.HandleExistenceCheckArgs{},
		"no request":                  &pb.HandleRequestArgs{},
		"a role elsewhere":            elsewhere,
		"no role":                     resolution(t, fields{"jwt": "a.b.c"}),
		"no data":                     resolution(t, nil),
		"a number for a role":         resolution(t, fields{"role": 5}),
		"a list for a role":           resolution(t, fields{"role": []string{"demo"}}),
		"data that are no JSON":       notJSON,
		"a role in a field in caps":   resolution(t, fields{"ROLE": "demo"}),
		"another kind of request yet": &pb.InitializeArgs{},
	} {
		if answer, err := ask(t, request); !errors.Is(err, errPassedOn) {
			t.Errorf("%s: answered with %v", name, answer)
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
