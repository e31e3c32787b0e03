package floor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"vault-plugin-auth-kubernetes/bench/internal/load"
)

// Process is a client in a process of its own.
type Process struct {
	PID int

	cmd     *exec.Cmd
	stdin   io.Closer
	encoder *json.Encoder
	decoder *json.Decoder
}

// Start starts program with the argument [Command]. The process ends with ctx, with
// Stop, or with this process, whichever comes first.
func Start(ctx context.Context, program string, setup Setup) (*Process, error) {
	cmd := exec.CommandContext(ctx, program, Command)
	// A signal that a terminal sends to the group is for the parent to heed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the client of bare reviews: %w", err)
	}
	p := &Process{
		PID: cmd.Process.Pid, cmd: cmd, stdin: stdin,
		encoder: json.NewEncoder(stdin), decoder: json.NewDecoder(stdout),
	}
	if err := p.encoder.Encode(setup); err != nil {
		p.Stop()
		return nil, fmt.Errorf("the client of bare reviews takes no input: %w", err)
	}
	return p, nil
}

// Run has the process make a run, which must have a duration.
func (p *Process) Run(ctx context.Context, clients int, plan load.Plan) (load.Result, error) {
	// Whatever ends the wait ends the process, and so the read below.
	ctx, cancel := context.WithTimeout(ctx, plan.Duration+2*load.CallTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	if err := p.encoder.Encode(order{Clients: clients, Plan: plan}); err != nil {
		return load.Result{}, fmt.Errorf("the client of bare reviews takes no orders: %w", err)
	}
	var done answer
	if err := p.decoder.Decode(&done); err != nil {
		return load.Result{}, fmt.Errorf("the client of bare reviews does not answer: %w", errors.Join(err, context.Cause(ctx)))
	}
	if done.Error != "" {
		return load.Result{}, fmt.Errorf("bare review: %s", done.Error)
	}
	return done.Result, nil
}

// Stop ends the process, at last by force.
func (p *Process) Stop() {
	_ = p.stdin.Close()
	force := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer force.Stop()
	_ = p.cmd.Wait() // how it ended no longer matters
}
