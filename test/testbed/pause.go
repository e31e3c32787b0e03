package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// pauseWithin bounds how long a process may take to stand still.
const pauseWithin = 30 * time.Second

// Pause stops a process and returns once it stands still, until it is sent SIGCONT. The
// signal is told to one thread, which on a busy machine may have to wait for its turn, and
// the others go on meanwhile.
func Pause(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(pauseWithin); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stands, err := standsStill(pid)
		if err != nil || stands {
			return err
		}
	}
	return fmt.Errorf("process %d was sent SIGSTOP and does not stand still after %s", pid, pauseWithin)
}

// standsStill tells whether all threads of a process are stopped.
func standsStill(pid int) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false, errors.Join(err, fmt.Errorf("process %d has no threads", pid))
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if errors.Is(err, os.ErrNotExist) {
			continue // it ended
		}
		if err != nil {
			return false, err
		}
		// The name, in parentheses, may hold anything; the state is what follows it.
		name := strings.LastIndex(string(text), ") ")
		if name < 0 || !strings.HasPrefix(string(text[name+2:]), "T") {
			return false, nil
		}
	}
	return true, nil
}
