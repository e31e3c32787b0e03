package serve

import (
	"context"
	"errors"
	"net/rpc"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/plugin/pb"
	"google.golang.org/grpc"
)

var (
	requestMethod = &grpc.UnaryServerInfo{FullMethod: "/pb.Backend/HandleRequest"}
	shutdown      = &grpc.UnaryServerInfo{FullMethod: shutdownMethod}
)

// far is longer than any test may take.
const far = time.Hour

// underWay begins a request that ends when the test says so, or when it is cut.
func underWay(t *testing.T, e *ending) (finish func(), reply <-chan *pb.HandleRequestReply) {
	t.Helper()
	begun, over, replies := make(chan struct{}), make(chan struct{}), make(chan *pb.HandleRequestReply, 1)
	go func() {
		answer, err := e.intercept(context.Background(), &pb.HandleRequestArgs{}, requestMethod, func(ctx context.Context, _ any) (any, error) {
			close(begun)
			select {
			case <-over:
				return &pb.HandleRequestReply{Response: &pb.Response{Redirect: "done"}}, nil
			case <-ctx.Done():
				return &pb.HandleRequestReply{Err: pb.ErrToProtoErr(ctx.Err())}, nil
			}
		})
		if err != nil {
			t.Error(err)
		}
		replies <- answer.(*pb.HandleRequestReply)
	}()
	<-begun
	return func() { close(over) }, replies
}

// shutDown asks for the end, and tells when the server may stop.
func shutDown(e *ending) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		_, _ = e.intercept(context.Background(), nil, shutdown, func(context.Context, any) (any, error) {
			close(stopped)
			return nil, errPassedOn
		})
	}()
	return stopped
}

func TestEndWaitsForWhatIsUnderWay(t *testing.T) {
	e := newEnding(far, 0, func() {})
	finish, replies := underWay(t, e)
	stopped := shutDown(e)
	for e.begin() { // until the end has begun
		e.end()
	}
	select {
	case <-stopped:
		t.Fatal("the server stopped with a request under way")
	default:
	}
	finish()
	if reply := <-replies; reply.GetErr() != nil || reply.GetResponse().GetRedirect() != "done" {
		t.Errorf("what was under way was answered with %v", reply)
	}
	<-stopped
}

// What waits for better times can tell that there is no time left.
func TestEndIsToldToWhatIsUnderWay(t *testing.T) {
	e := newEnding(far, 0, func() {})
	begun, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		_, _ = e.intercept(context.Background(), &pb.HandleRequestArgs{}, requestMethod, func(ctx context.Context, _ any) (any, error) {
			select {
			case <-Ending(ctx):
				t.Error("the end begins by itself")
			default:
			}
			close(begun)
			<-Ending(ctx)
			return &pb.HandleRequestReply{}, nil
		})
	}()
	<-begun
	<-shutDown(e)
	<-over
}

func TestEndCutsWhatTakesTooLong(t *testing.T) {
	e := newEnding(time.Millisecond, 0, func() {})
	_, replies := underWay(t, e)
	stopped := shutDown(e)
	wantSentAgain(t, <-replies)
	<-stopped
}

func TestEndDoesNotWaitForWhatHeedsNothing(t *testing.T) {
	e := newEnding(time.Millisecond, 0, func() {})
	if !e.begin() {
		t.Fatal("the end has begun by itself")
	}
	<-shutDown(e)
}

func TestRequestsAfterTheEnd(t *testing.T) {
	e := newEnding(far, 0, func() {})
	<-shutDown(e)
	answer, err := e.intercept(t.Context(), &pb.HandleRequestArgs{}, requestMethod, passOn)
	if err != nil {
		t.Fatal(err)
	}
	wantSentAgain(t, answer.(*pb.HandleRequestReply))
	answer, err = e.intercept(t.Context(), &pb.HandleExistenceCheckArgs{}, requestMethod, passOn)
	if err != nil {
		t.Fatal(err)
	}
	if got := pb.ProtoErrToErr(answer.(*pb.HandleExistenceCheckReply).Err); got == nil || got.Error() != rpc.ErrShutdown.Error() {
		t.Errorf("the existence check is answered with %v", got)
	}
	// What the host asks beside requests goes on, such as the clean-up of other mounts.
	if _, err := e.intercept(t.Context(), &pb.Empty{}, &grpc.UnaryServerInfo{FullMethod: "/pb.Backend/Cleanup"}, passOn); !errors.Is(err, errPassedOn) {
		t.Errorf("the clean-up is answered with %v", err)
	}
	<-shutDown(e) // a second time it does not hang, or panic
}

func wantSentAgain(t *testing.T, reply *pb.HandleRequestReply) {
	t.Helper()
	if got := pb.ProtoErrToErr(reply.GetErr()); got == nil || got.Error() != rpc.ErrShutdown.Error() {
		t.Errorf("answered with %v, want what makes Vault send the request again", reply)
	}
}
