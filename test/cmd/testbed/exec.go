package main

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// insistence is the time within which signals are copies of the first, from
// the terminal and from a parent such as make.
const insistence = time.Second

// runIn runs a command with further environment variables and returns its exit
// status, or 128 plus the signal that ended it, as a shell would. Signals are
// passed on. The command shares this process' group and terminal, so that it
// can be interactive; it then sees an interrupt from the keyboard twice.
func runIn(env []string, signals <-chan os.Signal, command []string) (status int, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(withoutOthers(os.Environ()), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 127, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	var first time.Time
	for {
		select {
		case s := <-signals:
			// Someone who insists wants an end.
			if !first.IsZero() && time.Since(first) > insistence {
				s = os.Kill
			}
			if first.IsZero() {
				first = time.Now()
			}
			_ = cmd.Process.Signal(s) // fails only if it has just ended
		case err := <-exited:
			return exitStatus(err)
		}
	}
}

// withoutOthers leaves out what a shell has for another Vault or Consul, such as
// VAULT_NAMESPACE, VAULT_FORMAT or CONSUL_CACERT: the bed's have none of it, and commands
// would fail, print what no script expects, or write to servers that are not the bed's.
func withoutOthers(env []string) []string {
	return slices.DeleteFunc(env, func(kv string) bool {
		return strings.HasPrefix(kv, "VAULT_") || strings.HasPrefix(kv, "CONSUL_")
	})
}

func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err // nil, or the wait itself failed
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return exit.ExitCode(), nil
}
