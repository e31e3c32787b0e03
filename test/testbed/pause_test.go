package testbed

import (
	"os/exec"
	"syscall"
	"testing"
)

func TestPause(t *testing.T) {
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	pid := sleep.Process.Pid
	if stands, err := standsStill(pid); err != nil || stands {
		t.Errorf("one that runs stands still: %t, %v", stands, err)
	}
	if err := Pause(pid); err != nil {
		t.Error(err)
	}
	if stands, err := standsStill(pid); err != nil || !stands {
		t.Errorf("one that is paused stands still: %t, %v", stands, err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Error(err)
	}
	_ = sleep.Process.Kill()
	_ = sleep.Wait()
	if err := Pause(pid); err == nil {
		t.Error("one that has ended was paused")
	}
}
