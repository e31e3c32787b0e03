package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// footprint is what can be seen of a process from outside.
type footprint struct {
	pid              int
	rssKiB, peakKiB  int64
	threads, sockets int
}

func (f footprint) String() string {
	return fmt.Sprintf("pid %d: %d MiB resident (peak %d MiB), %d threads, %d sockets",
		f.pid, f.rssKiB>>10, f.peakKiB>>10, f.threads, f.sockets)
}

// pluginOf returns the process of the plugin that a Vault started. There is one
// for all mounts, since the plugin is multiplexed.
func pluginOf(t testing.TB, vaultPID int) footprint {
	t.Helper()
	pids := pluginPIDs(t, vaultPID)
	if len(pids) != 1 {
		t.Fatalf("want one process of the plugin, found %v", pids)
	}
	return look(t, pids[0])
}

func pluginPIDs(t testing.TB, vaultPID int) (pids []int) {
	t.Helper()
	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	if len(statuses) == 0 {
		t.Fatal("this test looks at processes through /proc, which is not mounted")
	}
	for _, path := range statuses {
		status := parseStatus(path) // empty if the process has just gone
		executable, _ := os.Readlink(filepath.Join(filepath.Dir(path), "exe"))
		if status["PPid"] == strconv.Itoa(vaultPID) && filepath.Base(executable) == filepath.Base(bed.PluginBinary) {
			pid, _ := strconv.Atoi(status["Pid"])
			pids = append(pids, pid)
		}
	}
	return pids
}

func look(t testing.TB, pid int) footprint {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	status := parseStatus(filepath.Join(dir, "status"))
	f := footprint{pid: pid}
	var err error
	for key, dst := range map[string]*int64{"VmRSS": &f.rssKiB, "VmHWM": &f.peakKiB} {
		if *dst, err = strconv.ParseInt(strings.TrimSuffix(status[key], " kB"), 10, 64); err != nil {
			t.Fatalf("the plugin's process is gone, or /proc is not Linux's: %v", err)
		}
	}
	if f.threads, err = strconv.Atoi(status["Threads"]); err != nil {
		t.Fatal(err)
	}
	links, err := filepath.Glob(filepath.Join(dir, "fd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, "socket:") {
			f.sockets++
		}
	}
	return f
}

func parseStatus(path string) map[string]string {
	content, _ := os.ReadFile(path)
	status := map[string]string{}
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.TrimSpace(value)
	}
	return status
}
