package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// alive tells whether a process exists and is no zombie that waits for a parent.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// guardedShell starts a shell through a guard; the shell starts a sleep of its
// own and prints both process ids. In the end the guard is to remove dir.
func guardedShell(dir string) (*guard, *exec.Cmd, error) {
	g, err := newRemovingGuard(filepath.Join(dir, "part", "run"), dir)
	if err != nil {
		return nil, nil, err
	}
	path, err := g.wrap("it's a shell", "/bin/sh")
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(path, "-c", "sleep 300 & echo $$ $!; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return g, cmd, nil
}

// TestMain can be the process that a guard's charges must not outlive.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TESTBED_TEST_GUARD_DIR"); dir != "" {
		_, cmd, err := guardedShell(dir)
		if err == nil {
			cmd.Stdout = os.Stdout
			err = cmd.Run()
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func readPIDs(t *testing.T, r *bufio.Reader) (shell, sleep int) {
	t.Helper()
	if _, err := fmt.Fscan(r, &shell, &sleep); err != nil {
		t.Fatal(err)
	}
	if !alive(shell) || !alive(sleep) {
		t.Fatalf("%d and %d should be running", shell, sleep)
	}
	return shell, sleep
}

func TestGuardOutlivesItsMaker(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maker := exec.Command(exe)
	dir := filepath.Join(t.TempDir(), "state")
	maker.Env = append(os.Environ(), "TESTBED_TEST_GUARD_DIR="+dir)
	stdout, err := maker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	shell, sleep := readPIDs(t, bufio.NewReader(stdout))
	if err := maker.Process.Kill(); err != nil { // it gets no chance to clean up
		t.Fatal(err)
	}
	awaitDeath(t, shell)
	awaitDeath(t, sleep)
	_ = maker.Wait() // killed, as intended
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the state is still there")
		}
	}
}

func TestGuardCloseKillsWhatIsLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	g, cmd, err := guardedShell(dir)
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shell, sleep := readPIDs(t, bufio.NewReader(stdout))
	pids, err := g.pids()
	if err != nil || len(pids) != 1 || pids["it's a shell"] != shell {
		t.Errorf("on record: %v, %v; want only %d", pids, err, shell)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
	awaitDeath(t, shell)
	awaitDeath(t, sleep)
	_ = cmd.Wait() // killed, as intended
}

// A record that is no process id must not be taken for one: kill means every
// process there is by -1, and the caller's own group by -0.
func TestGuardIgnoresOtherRecords(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "all": "1\n", "own": "0\n", "text": "-5\n"} {
		if err := os.WriteFile(filepath.Join(dir, name+".pid"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g, err := newGuard(dir)
	if err != nil {
		t.Fatal(err)
	}
	if pids, err := g.pids(); err != nil || len(pids) != 0 {
		t.Errorf("on record: %v, %v", pids, err)
	}
	if err := g.close(); err != nil { // it would have killed itself
		t.Error(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a directory that is not its own: %v", err)
	}
}
