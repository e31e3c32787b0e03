package testbed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// guardScript waits until its standard input ends, which happens when the
// process that started it closes the pipe or dies of whatever cause. Then it
// kills each process group that is still on record in the directory $1. With a
// second argument, a bed's directory, it does so for the records of each of its
// parts, whose guards may be slower, and removes the directory.
const guardScript = `
kill_recorded() {
	for f in "$1"/*.pid; do
		[ -f "$f" ] || continue
		read -r pid <"$f"
		case $pid in
		'' | *[!0-9]* | 0 | 1) ;; # a record just being written
		*) kill -s KILL -- "-$pid" 2>/dev/null ;;
		esac
	done
}
while read -r _; do :; done
kill_recorded "$1"
[ -n "$2" ] || exit 0
for parts in "$2"/*/run; do
	kill_recorded "$parts"
done
rm -rf "$2" || { sleep 1; rm -rf "$2"; } # a dying process may have written another file
exit 0
`

// A guard keeps processes from outliving the one that started them, even if
// that one is killed, when no code of ours can run. A parent-death signal would
// be simpler, but it exists on Linux only, cannot be set on the processes that
// envtest starts, and does not reach the plugins that Vault starts.
//
// Each process that is started through [guard.wrap] must be made the leader of
// its own process group, which takes its children down with it.
type guard struct {
	dir   string // pid files and wrappers
	cmd   *exec.Cmd
	stdin io.Closer
}

// newGuard starts a guard that keeps its files in dir, which is created.
func newGuard(dir string) (*guard, error) { return newRemovingGuard(dir, "") }

// newRemovingGuard starts a guard that in the end removes a bed's directory.
func newRemovingGuard(dir, state string) (*guard, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", dir, state)
	// Out of reach of the signals that a terminal or a test runner sends to a group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the guard: %w", err)
	}
	g := &guard{dir: dir, cmd: cmd, stdin: stdin}
	guards.Store(g, nil)
	return g, nil
}

// guards keeps those on duty reachable. Collecting one as garbage closes its
// pipe, and that would kill the servers of a bed that nobody refers to any more.
var guards sync.Map

// wrap returns the path of a program that puts its process id on record under
// name and then becomes the given program. The record is there before the
// program runs, so there is no moment in which a process is unguarded.
func (g *guard) wrap(name, program string) (string, error) {
	path := filepath.Join(g.dir, name)
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s\nexec %s \"$@\"\n", shellQuote(g.pidFile(name)), shellQuote(program))
	// A child forked elsewhere while the file is open for writing would inherit
	// it for a moment, and the kernel refuses to run a file open for writing.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return path, os.WriteFile(path, []byte(script), 0o755)
}

func (g *guard) pidFile(name string) string { return filepath.Join(g.dir, name+".pid") }

// pids returns the processes on record, running or not, by name.
func (g *guard) pids() (map[string]int, error) {
	files, err := filepath.Glob(filepath.Join(g.dir, "*.pid"))
	if err != nil {
		return nil, err
	}
	pids := make(map[string]int, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		// A record just being written is empty.
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
			pids[strings.TrimSuffix(filepath.Base(file), ".pid")] = pid
		}
	}
	return pids, nil
}

// kill ends every process group on record at once.
func (g *guard) kill() error {
	pids, err := g.pids()
	if err != nil {
		return err
	}
	var errs []error
	for name, pid := range pids {
		if err := killGroup(pid); err != nil {
			errs = append(errs, fmt.Errorf("cannot kill %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// close dismisses the guard, which kills what is still on record and
// removes what it is to remove.
func (g *guard) close() error {
	guards.Delete(g)
	return errors.Join(g.stdin.Close(), g.cmd.Wait())
}

// killGroup ends a process group, which may be gone already.
func killGroup(pgid int) error {
	if err := syscall.Kill(-pgid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
