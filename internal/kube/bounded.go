package kube

import (
	"errors"
	"io"
)

// maxResponseBytes bounds one answer of the API server. etcd does not store
// objects beyond about 1.5 MiB, so no real answer is near it.
const maxResponseBytes = 4 << 20

var errTooLong = errors.New("the answer is longer than 4 MiB")

// boundedBody is the body of an answer, up to its bound; reading on from there is
// errTooLong, and not the end of the answer.
type boundedBody struct {
	io.ReadCloser
	left int64 // bytes that may still come; negative once there were more
	// whole is called at the end of a long answer.
	whole func() error
}

// longBytes are those of an answer that is long. Objects that people write by hand are
// far below.
const longBytes = 32 << 10

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 { // one more tells whether there is more
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, errTooLong
	}
	if errors.Is(err, io.EOF) && b.whole != nil && maxResponseBytes-b.left > longBytes {
		whole := b.whole
		b.whole = nil
		if err := whole(); err != nil {
			return n, err
		}
	}
	return n, err
}
