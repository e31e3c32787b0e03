package kube

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
)

var errSending = errors.New("broken pipe")

// recorder is a connection that sends when it is let, and tells what.
type recorder struct {
	net.Conn

	begun chan []byte
	let   chan error
}

func (r *recorder) Write(p []byte) (int, error) {
	r.begun <- bytes.Clone(p)
	if err := <-r.let; err != nil {
		return 0, err
	}
	return len(p), nil
}

// newRecorder has a gathered connection to nobody, which is closed at the end.
func newRecorder(t *testing.T) (*gathered, *recorder) {
	t.Helper()
	near, far := net.Pipe()
	r := &recorder{Conn: near, begun: make(chan []byte), let: make(chan error)}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return gather(r), r
}

func write(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	if n, err := c.Write(p); n != len(p) || err != nil {
		t.Fatalf("wrote %d bytes of %d: %v", n, len(p), err)
	}
}

func TestWhatIsWrittenMeanwhileIsSentTogether(t *testing.T) {
	g, r := newRecorder(t)
	write(t, g, []byte("first"))
	if got := <-r.begun; string(got) != "first" {
		t.Fatalf("sent %q", got)
	}
	reused := []byte("headers ")
	write(t, g, reused)
	copy(reused, "XXXXXXXX") // a writer's buffer is its own again
	write(t, g, []byte("body "))
	write(t, g, []byte("and another"))
	r.let <- nil
	if got := <-r.begun; string(got) != "headers body and another" {
		t.Errorf("sent %q", got)
	}
	r.let <- nil
	write(t, g, []byte("later"))
	if got := <-r.begun; string(got) != "later" {
		t.Errorf("sent %q", got)
	}
	r.let <- nil
}

func TestWaitingToBeSentIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, r := newRecorder(t)
		write(t, g, []byte("first"))
		<-r.begun
		write(t, g, make([]byte, gatherMost))
		over := make(chan error)
		go func() {
			_, err := g.Write([]byte("more"))
			over <- err
		}()
		synctest.Wait() // until nobody can go on
		select {
		case err := <-over:
			t.Fatalf("more waits than may: %v", err)
		default:
		}
		r.let <- nil
		if got := <-r.begun; len(got) != gatherMost {
			t.Errorf("sent %d bytes", len(got))
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
		r.let <- nil
		if got := <-r.begun; string(got) != "more" {
			t.Errorf("sent %q", got)
		}
		r.let <- nil
	})
}

func TestSendingFails(t *testing.T) {
	g, r := newRecorder(t)
	write(t, g, []byte("first"))
	<-r.begun
	read := make(chan error)
	go func() {
		_, err := g.Read(make([]byte, 1))
		read <- err
	}()
	r.let <- errSending
	if err := <-read; !errors.Is(err, errSending) {
		t.Errorf("who waits for an answer is told %v", err)
	}
	if _, err := g.Write([]byte("more")); !errors.Is(err, errSending) {
		t.Errorf("who writes more is told %v", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// The last that TLS writes is that it will write no more.
func TestEndSendsWhatWaits(t *testing.T) {
	near, far := net.Pipe()
	g := gather(near)
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(far)
		got <- all
	}()
	write(t, g, []byte("a request, "))
	write(t, g, []byte("and the end"))
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if all := <-got; string(all) != "a request, and the end" {
		t.Errorf("came %q", all)
	}
	if _, err := g.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("who writes after the end is told %v", err)
	}
}

// Who waited for a connection that is given up makes another; on this one it would fail.
func TestNothingIsTakenAtTheEnd(t *testing.T) {
	g, r := newRecorder(t)
	write(t, g, []byte("first"))
	<-r.begun
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = g.Close()
	}()
	for { // until the end has begun
		if _, err := g.Write(nil); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			break
		}
	}
	select {
	case <-closed:
		t.Error("closed before what was written is sent")
	default:
	}
	r.let <- nil
	<-closed
}

func TestEndDoesNotWaitForWhoReadsNothing(t *testing.T) {
	near, _ := net.Pipe()
	g := gather(near)
	write(t, g, []byte("nobody reads"))
	_ = g.Close()
	if _, err := g.Write([]byte("more")); !errors.Is(err, os.ErrDeadlineExceeded) { // or it would wait for ever
		t.Errorf("the sending ended with %v", err)
	}
}
