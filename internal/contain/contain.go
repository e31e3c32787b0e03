// Package contain keeps a panic within what it happened in: one process serves the mounts
// of all clusters, and the fault of one request must not end them all. It knows nothing of
// Vault, and tells where it happened and not with which values, which may be secrets.
package contain

import (
	"fmt"
	"runtime"
	"strings"
)

// maxPlaces bounds the functions that are told.
const maxPlaces = 24

// Fault is the error that a panic becomes.
type Fault struct {
	// Kind is the type of what was thrown.
	Kind string
	// Places are the functions that were under way, the innermost first, with the
	// file's name and the line.
	Places []string
}

func (f *Fault) Error() string {
	return fmt.Sprintf("a panic of type %s in %s", f.Kind, strings.Join(f.Places, " < "))
}

// Panics makes an error of type *Fault of a panic, and sets *err. It is to be deferred, with
// the result of the function.
func Panics(err *error) {
	thrown := recover()
	if thrown == nil {
		return
	}
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	fault := &Fault{Kind: fmt.Sprintf("%T", thrown)}
	for more := true; more && len(fault.Places) < maxPlaces; {
		var frame runtime.Frame
		frame, more = frames.Next()
		fault.Places = append(fault.Places, fmt.Sprintf("%s (%s:%d)", frame.Function, frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line))
	}
	*err = fault
}
