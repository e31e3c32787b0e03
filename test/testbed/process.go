package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a server that runs under a guard.
type process struct {
	name   string
	pid    int
	exited chan struct{} // closed once it is gone
}

// start runs a program with its output added to a log file. The processes that
// it starts itself belong to its group and end with it.
func (g *guard) start(name, program, logPath string, env []string, args ...string) (*process, error) {
	wrapped, err := g.wrap(name, program)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has its own copy
	cmd := exec.Command(wrapped, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	p := &process{name: name, pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.exited)
	}()
	return p, nil
}

// await polls ready, as poll does, and gives up when the process ends.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.exited:
			cancel(errors.New(p.name + " has exited"))
		case <-ctx.Done():
		}
	}()
	return poll(ctx, p.name, ready)
}

// stop asks the process to end, and at last makes it.
func (p *process) stop() {
	_ = syscall.Kill(p.pid, syscall.SIGTERM) // fails only if it has just exited
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = killGroup(p.pid)
		<-p.exited
	}
}
