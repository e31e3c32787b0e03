package kube

import (
	"sync"
	"time"
)

// formAgain is how long reviews are JSON after one in protobuf came to nothing.
const formAgain = 10 * time.Minute

// form tells in which form the next review is asked: JSON, which everything in between
// knows, or protobuf, which costs both ends less. Gateways and firewalls that look into
// requests refuse protobuf, each in its own way. So JSON is where it begins, and where each
// failure of protobuf leads that may be the form's; a login goes on by its second attempt.
type form struct {
	mu     sync.Mutex
	known  bool      // JSON was answered, so there is something to compare protobuf with
	proven bool      // so was protobuf, the last time
	trying bool      // one review in protobuf is under way, to learn of it
	again  time.Time // when protobuf may be tried again
}

// protobuf tells whether the review that is about to be sent is to be in protobuf. What
// came of it is to be told then.
func (f *form) protobuf(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.proven {
		return true
	}
	if !f.known || f.trying || now.Before(f.again) {
		return false
	}
	f.trying = true
	return true
}

// answered is told that a review was answered, in which form it was and its answer came. One
// in protobuf that is answered in JSON saves nothing.
func (f *form) answered(now time.Time, protobuf, inProtobuf bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = true
	if !protobuf {
		return
	}
	f.proven, f.trying = inProtobuf, false
	if !inProtobuf {
		f.again = now.Add(formAgain)
	}
}

// failed is told of a review in protobuf that came to nothing, and whether an answer in
// protobuf said so. It tells whether it may come to something in JSON, so that it is worth a
// second attempt.
func (f *form) failed(now time.Time, failure Failure, inProtobuf bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trying = false
	switch failure {
	case Canceled, Busy, Setup, Throttled:
		return false // that is not about the form
	case Unauthorized, Forbidden, NotFound, ServerError:
		if inProtobuf {
			return false // the API server's own word
		}
	}
	f.proven, f.again = false, now.Add(formAgain)
	switch failure {
	case Timeout, Connection, DNS, TLS:
		return false // as it is whatever the form: the first two have a second attempt anyway
	}
	return true
}
