package kube

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBoundedBody(t *testing.T) {
	for name, row := range map[string]struct {
		answer string
		want   string
		err    error
	}{
		"nothing":         {"", "", nil},
		"shorter":         {"123", "123", nil},
		"just as long":    {"12345", "12345", nil},
		"one byte longer": {"123456", "12345", errTooLong},
		"much longer":     {strings.Repeat("123456", 1000), "12345", errTooLong},
	} {
		for reader, read := range map[string]func(io.Reader) io.Reader{
			"at once":       func(r io.Reader) io.Reader { return r },
			"byte by byte":  iotest.OneByteReader,
			"end with data": iotest.DataErrReader,
		} {
			body := &boundedBody{ReadCloser: io.NopCloser(read(strings.NewReader(row.answer))), left: 5}
			got, err := io.ReadAll(body)
			if string(got) != row.want || !errors.Is(err, row.err) {
				t.Errorf("%s, %s: %q, %v", name, reader, got, err)
			}
			if _, again := body.Read(make([]byte, 1)); row.err != nil && !errors.Is(again, errTooLong) {
				t.Errorf("%s, %s: reading on: %v", name, reader, again)
			}
		}
	}
}
