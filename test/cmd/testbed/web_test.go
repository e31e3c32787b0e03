package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestWeb serves the page for the Vault of the environment until it is interrupted.
func TestWeb(t *testing.T) {
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "Vault got "+r.URL.Path) // the test sees if it fails
	}))
	defer vault.Close()
	t.Setenv("VAULT_ADDR", vault.URL)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	stdout := os.Stdout
	os.Stdout = write
	defer func() { os.Stdout = stdout }()

	signals := make(chan os.Signal, 1)
	ended := make(chan error, 1)
	go func() {
		_, err := dispatch(signals, []string{"web", "-listen", "127.0.0.1:0"})
		write.Close()
		ended <- err
	}()
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err, <-ended)
	}
	url := strings.TrimSpace(line[strings.LastIndex(line, " ")+1:])
	for path, want := range map[string]string{"": "<title>Kubernetes logins into Vault</title>", "v1/sys/auth": "Vault got /v1/sys/auth"} {
		if body := get(t, url+path); !strings.Contains(body, want) {
			t.Errorf("%s%s: %.200s, want %q", url, path, body, want)
		}
	}
	signals <- syscall.SIGINT
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if response, err := http.Get(url); err == nil {
		response.Body.Close()
		t.Error("the page is still served")
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
