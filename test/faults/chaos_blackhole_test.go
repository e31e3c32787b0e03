package faults

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// newBlackhole is an address where packets are dropped without a word: a listener that
// accepts nobody, and whose queue is full.
func newBlackhole(t *testing.T) *server {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 8 {
		queued, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return &server{fakeAPI: fakeAPI{url: "https://" + address, caPEM: newAuthority(t).pem}}
		}
		t.Cleanup(func() { _ = queued.Close() })
	}
	t.Fatal("the queue of a listener that accepts nobody takes everybody")
	return nil
}
