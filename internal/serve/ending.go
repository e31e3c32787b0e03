package serve

import (
	"context"
	"net/rpc"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/plugin/pb"
	"google.golang.org/grpc"
)

// shutdownMethod is how go-plugin's client asks a plugin to end.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

// endingGrace is how long the end of the process waits for what is under way. Vault
// starts no plugin meanwhile, so it is short; a login takes a few milliseconds unless
// its API server is slow, and one that is cut off is made anew from its beginning.
const endingGrace = 2 * time.Second

// endingQuiet is how long no request must have come before the process ends after that, at
// most endingGrace in all. Requests that Vault has sent are taken from the connection
// meanwhile, and a mount whose request is to be sent again holds its others back until
// there is a new process; so when the connection closes there is hardly a request left
// that could notice.
const endingQuiet = 100 * time.Millisecond

// ending sees to it that the end of the process fails no request. All mounts of a version
// share the process, and Vault ends it to reload any one of them, or to disable the
// last; what the others have under way would be a 500 to clients that did nothing.
//
// So what is under way is waited for. What is not done in time, and what comes after the
// end has begun, is answered with the one error upon which Vault starts the plugin anew
// and sends the request once more.
type ending struct {
	grace, quiet time.Duration
	// exit ends the process. Vault knows that a plugin has ended when its process has,
	// and until then takes a closed connection for an error of the request.
	exit func()

	mu       sync.Mutex
	begun    bool
	underWay int
	soon     chan struct{} // closed when the end has begun
	done     chan struct{} // closed when the end has begun and nothing is under way
	late     chan struct{} // has a value when a request came too late

	// cut ends what has not ended within the grace.
	cut    context.Context
	cutOff context.CancelFunc
}

func newEnding(grace, quiet time.Duration, exit func()) *ending {
	e := &ending{grace: grace, quiet: quiet, exit: exit, soon: make(chan struct{}), done: make(chan struct{}), late: make(chan struct{}, 1)}
	e.cut, e.cutOff = context.WithCancel(context.Background()) //nolint:gosec // it lives as long as the process
	return e
}

// intercept stands before all other interceptors.
func (e *ending) intercept(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler,
) (any, error) {
	if info.FullMethod == shutdownMethod {
		e.wait()
		e.awaitQuiet()
		reply, err := next(ctx, request) // closes the connections
		e.exit()
		return reply, err
	}
	again := sendAgain(request)
	if again == nil {
		return next(ctx, request)
	}
	if !e.begin() {
		select {
		case e.late <- struct{}{}:
		default:
		}
		return again, nil
	}
	defer e.end()
	ctx, cancel := context.WithCancel(WithEnding(ctx, e.soon))
	defer cancel()
	defer context.AfterFunc(e.cut, cancel)()
	reply, err := next(ctx, request)
	if e.cut.Err() != nil && (err != nil || failed(reply)) {
		return again, nil
	}
	return reply, err
}

type soonKey struct{}

// WithEnding has Ending return soon.
func WithEnding(ctx context.Context, soon <-chan struct{}) context.Context {
	return context.WithValue(ctx, soonKey{}, soon)
}

// Ending is closed when the end of the process has begun, within which a request has little
// time: one that waits for nothing but better times keeps the others from a new process. It is
// nil for a request that did not come from the host.
func Ending(ctx context.Context) <-chan struct{} {
	soon, _ := ctx.Value(soonKey{}).(<-chan struct{})
	return soon
}

// begin counts a request, unless the process is about to end.
func (e *ending) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.begun {
		return false
	}
	e.underWay++
	return true
}

func (e *ending) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.underWay--; e.begun && e.underWay == 0 {
		close(e.done)
	}
}

// wait returns when nothing is under way any more.
func (e *ending) wait() {
	e.mu.Lock()
	first := !e.begun
	if e.begun = true; first {
		close(e.soon)
	}
	if first && e.underWay == 0 {
		close(e.done)
	}
	e.mu.Unlock()
	timer := time.AfterFunc(e.grace, e.cutOff)
	defer timer.Stop()
	select {
	case <-e.done:
	case <-e.cut.Done():
		// What heeds its context ends at once; the rest must not keep the host.
		select {
		case <-e.done:
		case <-time.After(e.grace):
		}
	}
}

// awaitQuiet returns when no request has come for a while.
func (e *ending) awaitQuiet() {
	end := time.After(e.grace)
	for {
		select {
		case <-e.late:
		case <-end:
			return
		case <-time.After(e.quiet):
			return
		}
	}
}

// sendAgain is the answer to a request after which Vault sends it again, to a process
// that it starts for that; nil for a call that is no request of a client. Vault knows
// the error by its text (HandleRequest in its builtin/plugin/v5).
func sendAgain(request any) any {
	shutDown := pb.ErrToProtoErr(rpc.ErrShutdown)
	switch request.(type) {
	case *pb.HandleRequestArgs:
		return &pb.HandleRequestReply{Err: shutDown}
	case *pb.HandleExistenceCheckArgs:
		return &pb.HandleExistenceCheckReply{Err: shutDown}
	}
	return nil
}

func failed(reply any) bool {
	switch reply := reply.(type) {
	case *pb.HandleRequestReply:
		return reply.GetErr() != nil
	case *pb.HandleExistenceCheckReply:
		return reply.GetErr() != nil
	}
	return false
}
