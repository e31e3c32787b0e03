package main

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command []string
		want    int
		wantErr bool
	}{
		{"succeeds", []string{"true"}, 0, false},
		{"fails", []string{"sh", "-c", "exit 7"}, 7, false},
		{"dies of a signal", []string{"sh", "-c", "kill -TERM $$"}, 143, false},
		{"sees the environment", []string{"sh", "-c", `exit "$STATUS"`}, 9, false},
		{"sees nothing of another Vault", []string{"sh", "-c", `exit "${VAULT_NAMESPACE:-4}"`}, 4, false},
		{"sees nothing of another Consul", []string{"sh", "-c", `exit "${CONSUL_HTTP_ADDR:-3}"`}, 3, false},
		{"does not exist", []string{"/no/such/command"}, 127, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("VAULT_NAMESPACE", "5")
			t.Setenv("CONSUL_HTTP_ADDR", "5")
			status, err := runIn([]string{"STATUS=9"}, nil, tt.command)
			if status != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("got %d, %v; want %d", status, err, tt.want)
			}
		})
	}
}

// trapped runs a shell that counts the signals it gets, and sends it some.
func trapped(t *testing.T, script string, send func(signals chan<- os.Signal)) (status int) {
	t.Helper()
	dir := t.TempDir()
	signals := make(chan os.Signal, 8)
	go func() {
		for {
			if _, err := os.Stat(dir + "/ready"); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		send(signals)
	}()
	script = "cd '" + dir + "'; " + script + "; touch ready; while :; do sleep 0.05; done"
	status, err := runIn(nil, signals, []string{"sh", "-c", script})
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func TestSignalsArePassedOn(t *testing.T) {
	status := trapped(t, "trap 'exit 5' TERM", func(signals chan<- os.Signal) { signals <- syscall.SIGTERM })
	if status != 5 {
		t.Errorf("got %d", status)
	}
}

func TestSecondSignalLaterKills(t *testing.T) {
	status := trapped(t, "trap '' INT", func(signals chan<- os.Signal) {
		signals <- os.Interrupt
		signals <- os.Interrupt // a copy of the first
		time.Sleep(insistence + 200*time.Millisecond)
		signals <- os.Interrupt
	})
	if want := 128 + int(syscall.SIGKILL); status != want {
		t.Errorf("got %d, want %d", status, want)
	}
}
