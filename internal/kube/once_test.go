package kube_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// Whatever an API server answers, it is asked for one thing at most twice, and each
// request that leaves is counted: neither client-go nor net/http repeats one by itself.
func TestAtMostTwoRequestsWhateverTheAnswer(t *testing.T) {
	for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
		for name, fault := range map[string]kubetest.Fault{
			"throttled, come back at once":   kubetest.RetryAfter(http.StatusTooManyRequests, 0),
			"shutting down, come at once":    kubetest.RetryAfter(http.StatusServiceUnavailable, 0),
			"internal error, come at once":   kubetest.RetryAfter(http.StatusInternalServerError, 0),
			"stream reset":                   kubetest.ResetStream(),
			"cut in the answer":              kubetest.Truncate(),
			"connection closed":              kubetest.CloseConnection(),
			"redirected":                     kubetest.Redirect(http.StatusTemporaryRedirect, "/elsewhere"),
			"not acceptable, as protobuf is": kubetest.Status(http.StatusUnsupportedMediaType),
		} {
			for call, ask := range calls {
				t.Run(protocol+" "+name+" "+call, func(t *testing.T) {
					t.Parallel()
					s := kubetest.StartWith(t, o)
					c, meter, _ := metered(t, s)
					if err := calls["ReviewToken"](t.Context(), c); err != nil { // a connection that is used again
						t.Fatal(err)
					}
					s.Forget()
					before := meter.Sent.Load()
					s.Fail(fault)
					if ask(t.Context(), c) == nil {
						t.Error("no error")
					}
					got, sent := len(s.Requests()), meter.Sent.Load()-before
					if got > 2 || int(sent) != got {
						t.Errorf("%d requests arrived and %d were counted, want at most 2", got, sent)
					}
				})
			}
		}
	}
}

// A stream that is refused was not looked at, and net/http would send the request seven
// times; so it would after a GOAWAY.
func TestRefusedStreamsAreAskedTwice(t *testing.T) {
	for name, answer := range map[string]func(*http2.Framer, uint32) error{
		"refused stream": func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		},
		"protocol error": func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeProtocol)
		},
		"going away": func(f *http2.Framer, stream uint32) error {
			return f.WriteGoAway(stream-1, http2.ErrCodeNo, nil)
		},
	} {
		for call, ask := range calls {
			t.Run(name+" "+call, func(t *testing.T) {
				t.Parallel()
				s := startFrames(t, answer)
				meter := &kube.Meter{}
				c, err := kube.New(kube.Options{
					Host: s.url, CAPEM: s.ca, Credential: func() string { return "" }, RequestTimeout: long, Meter: meter,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Close)
				wantFailure(t, ask(t.Context(), c), kube.Connection)
				if got, sent := s.requests.Load(), meter.Sent.Load(); got != 2 || sent != 2 {
					t.Errorf("%d requests arrived and %d were counted, want 2", got, sent)
				}
			})
		}
	}
}

// frameServer speaks HTTP/2 no further than it takes to answer each request by frames.
type frameServer struct {
	url      *url.URL
	ca       string
	requests atomic.Int64
}

func startFrames(t *testing.T, answer func(f *http2.Framer, stream uint32) error) *frameServer {
	t.Helper()
	borrowed := httptest.NewTLSServer(nil) // for its certificate
	borrowed.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: borrowed.Certificate().Raw}))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: borrowed.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &frameServer{url: &url.URL{Scheme: "https", Host: listener.Addr().String()}, ca: ca}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = connection.Close() })
			go s.serve(connection, answer)
		}
	}()
	return s
}

func (s *frameServer) serve(connection net.Conn, answer func(f *http2.Framer, stream uint32) error) {
	defer connection.Close()
	if _, err := io.ReadFull(connection, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(connection, connection)
	_ = framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if headers, ok := frame.(*http2.HeadersFrame); ok {
			s.requests.Add(1)
			if answer(framer, headers.StreamID) != nil {
				return
			}
		}
	}
}
