// Package proc looks at other processes from outside, as Linux shows them.
package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// CPU is the time that all threads of a process have spent on processors since it
// began, user and system. It is exact to the nanosecond, where /proc counts in ticks
// of 10 ms, which would be a tenth of what is measured here.
func CPU(pid int) (time.Duration, error) {
	// The clock of another process, as clock_getcpuclockid(3) makes its number:
	// the complement of the pid, and 2 for the scheduler's count.
	clock := int32(^pid<<3 | 2) //nolint:gosec // a pid has at most 22 bits
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("cannot read the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Footprint is what a process holds at a moment.
type Footprint struct {
	RSS     int64 `json:"rss"`  // resident bytes
	Peak    int64 `json:"peak"` // the most that were resident, ever or since [ResetPeak]
	Threads int   `json:"threads"`
	Files   int   `json:"files"` // open descriptors, sockets included
}

// Look returns the footprint of a process.
func Look(pid int) (Footprint, error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return Footprint{}, err
	}
	status, err := process.NewStatus()
	if err != nil {
		return Footprint{}, err
	}
	stat, err := process.Stat()
	if err != nil {
		return Footprint{}, err
	}
	files, err := process.FileDescriptorsLen()
	if err != nil {
		return Footprint{}, err
	}
	return Footprint{
		RSS:     int64(status.VmRSS), //nolint:gosec // no machine has 2^63 bytes
		Peak:    int64(status.VmHWM), //nolint:gosec // no machine has 2^63 bytes
		Threads: stat.NumThreads,
		Files:   files,
	}, nil
}

// ResetPeak makes what is resident of a process now the most that ever was.
func ResetPeak(pid int) error {
	file, err := os.OpenFile(fmt.Sprintf("/proc/%d/clear_refs", pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("5") // see proc_pid_clear_refs(5)
	return errors.Join(err, file.Close())
}

// Children returns the processes that run program and were started by parent.
func Children(parent int, program string) ([]int, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, process := range all {
		// A process may end at any time; then it is none of the children.
		stat, err := process.Stat()
		if err != nil || stat.PPID != parent {
			continue
		}
		if executable, err := process.Executable(); err == nil && sameFile(executable, program) {
			pids = append(pids, process.PID)
		}
	}
	return pids, nil
}

func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// fileSystems are the kinds that machines commonly keep files on, by the number in
// statfs(2).
var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC:      "ext4",
	unix.XFS_SUPER_MAGIC:       "xfs",
	unix.BTRFS_SUPER_MAGIC:     "btrfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.TMPFS_MAGIC:           "tmpfs",
}

// FileSystem names the kind of file system that a folder is on.
func FileSystem(dir string) (string, error) {
	var of unix.Statfs_t
	if err := unix.Statfs(dir, &of); err != nil {
		return "", fmt.Errorf("cannot tell the file system of %s: %w", dir, err)
	}
	if name, ok := fileSystems[of.Type]; ok {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", of.Type), nil
}

// Machine is what the figures of a run depend on.
type Machine struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	MemoryMiB int64  `json:"memory_mib"`
	Kernel    string `json:"kernel"`
}

// ThisMachine describes the machine without naming it.
func ThisMachine() (Machine, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return Machine{}, err
	}
	cpus, err := fs.CPUInfo()
	if err != nil {
		return Machine{}, err
	}
	memory, err := fs.Meminfo()
	if err != nil {
		return Machine{}, err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Machine{}, err
	}
	m := Machine{Cores: len(cpus), Kernel: unix.ByteSliceToString(name.Release[:])}
	if len(cpus) > 0 {
		m.CPU = cpus[0].ModelName
	}
	if memory.MemTotalBytes != nil {
		m.MemoryMiB = int64(*memory.MemTotalBytes >> 20)
	}
	return m, nil
}
