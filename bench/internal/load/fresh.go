package load

import (
	"context"
	"net/http"
	"sync/atomic"
)

// Fresh returns clients that log in with the next body each, whatever runs there were
// before and whoever else has the same counter: of many bodies none is sent again before
// all others were.
func Fresh(clients int, vaultAddr, mount string, bodies [][]byte, next *atomic.Int64) []Caller {
	callers := Logins(clients, vaultAddr, mount, bodies)
	for i, c := range callers {
		callers[i] = &fresh{Poster: c.(*Poster), next: next}
	}
	return callers
}

type fresh struct {
	*Poster
	next *atomic.Int64
}

// Call sends the next body.
func (f *fresh) Call(ctx context.Context, _ int64) error { return f.Poster.Call(ctx, f.next.Add(1)-1) }

// Across returns clients that log in at several mounts in turn, each over one connection.
func Across(clients int, vaultAddr string, mounts []string, bodies [][]byte) []Caller {
	callers := make([]Caller, clients)
	for i := range callers {
		each := make(across, len(mounts))
		for n, mount := range mounts {
			each[n] = Logins(1, vaultAddr, mount, bodies)[0].(*Poster)
			each[n].Client = each[0].Client
		}
		callers[i] = each
	}
	return callers
}

type across []*Poster

// Call logs in at the mount whose turn it is.
func (a across) Call(ctx context.Context, n int64) error { return a[n%int64(len(a))].Call(ctx, n) }

// idle are the connections of a client that is made of Posters.
func idle(caller Caller) *http.Client {
	switch c := caller.(type) {
	case *Poster:
		return c.Client
	case *fresh:
		return c.Client
	case across:
		return c[0].Client
	}
	return nil
}
