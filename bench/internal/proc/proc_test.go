package proc

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCPU reads the same time in the two ways there are for the own process.
func TestCPU(t *testing.T) {
	before := usage(t)
	got, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// The two agree but for what getrusage cuts off.
	if after := usage(t); got < before-time.Millisecond || got > after+time.Millisecond {
		t.Errorf("got %s, getrusage says %s before and %s after", got, before, after)
	}
}

func usage(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestChild(t *testing.T) {
	program, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("there is no program sleep here")
	}
	child := exec.CommandContext(t.Context(), program, "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	pid := child.Process.Pid
	if pids, err := Children(os.Getpid(), program); err != nil || !slices.Contains(pids, pid) {
		t.Errorf("got %v, %v, want %d among them", pids, err, pid)
	}
	if pids, err := Children(os.Getpid(), "/no/such/program"); err != nil || len(pids) > 0 {
		t.Errorf("children of another program: %v, %v", pids, err)
	}
	footprint, err := Look(pid)
	if err != nil || footprint.RSS <= 0 || footprint.Peak < footprint.RSS || footprint.Threads != 1 || footprint.Files < 3 {
		t.Errorf("got %+v, %v", footprint, err)
	}
	if _, err := CPU(pid); err != nil {
		t.Error(err)
	}

	_ = child.Process.Kill()
	_ = child.Wait()
	if _, err := CPU(pid); err == nil {
		t.Error("a process that is gone has a CPU time")
	}
	if _, err := Look(pid); err == nil {
		t.Error("a process that is gone has a footprint")
	}
}

// TestResetPeak has memory come and go, of this very process.
func TestResetPeak(t *testing.T) {
	if _, err := os.Stat("/proc/self/clear_refs"); err != nil {
		t.Skipf("this kernel resets no peak: %v", err)
	}
	const size = 128 << 20
	before := peak(t)
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Munmap(memory); err != nil {
		t.Fatal(err)
	}
	if got := peak(t); got < before+size/2 {
		t.Errorf("a peak of %d bytes more than before", got-before)
	}
	if err := ResetPeak(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if got := peak(t); got > before+size/2 {
		t.Errorf("a peak of %d bytes more than before after it was reset", got-before)
	}
	if err := ResetPeak(1 << 22); err == nil { // more than any pid
		t.Error("the peak of no process was reset")
	}
}

func peak(t *testing.T) int64 {
	t.Helper()
	footprint, err := Look(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return footprint.Peak
}

func TestFileSystem(t *testing.T) {
	if name, err := FileSystem(t.TempDir()); err != nil || name == "" {
		t.Errorf("got %q, %v", name, err)
	}
	if name, err := FileSystem("/proc"); err != nil || name != "file system 0x9fa0" {
		t.Errorf("got %q, %v for /proc", name, err)
	}
	if name, err := FileSystem("/no/such/folder"); err == nil {
		t.Errorf("got %q for none", name)
	}
}

func TestThisMachine(t *testing.T) {
	m, err := ThisMachine()
	if err != nil || m.Cores < 1 || m.MemoryMiB < 1 || m.Kernel == "" {
		t.Errorf("got %+v, %v", m, err)
	}
}
