package consul

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	vault "github.com/hashicorp/vault/api"
)

// handedOut are the tokens that clients got, by accessor, and by which door.
type handedOut struct {
	mu     sync.Mutex
	tokens map[string]string
	count  atomic.Int64 // of tokens
	failed atomic.Int64 // logins that were to be tried again
}

func (h *handedOut) add(accessor, door string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens[accessor] = door
	h.count.Add(1)
}

// The two doors to a token.
const (
	byLogin = "login as at a Consul"
	byLease = "lease"
)

// logins are clients that log in one after the other by both doors, half by each, and
// after a failure try again. They stop with the context.
func (f *fixture) logins(ctx context.Context, t *testing.T, m *mint, workers int) (got *handedOut, wait func()) {
	got = &handedOut{tokens: map[string]string{}}
	var group sync.WaitGroup
	ask := map[string]func() (string, error){
		byLogin: func() (string, error) {
			token, _, err := m.client.ACL().Login(&consul.ACLLoginParams{AuthMethod: "kubernetes", BearerToken: f.accounts["prod/web"].jwt}, nil)
			if err != nil {
				return "", err
			}
			return token.AccessorID, nil
		},
		byLease: func() (string, error) {
			secret, err := f.vault.Logical().Write(m.path+"/consul/token/kubernetes", map[string]any{"jwt": f.accounts["prod/web"].jwt})
			if err != nil {
				return "", err
			}
			return secret.Data["accessor"].(string), nil
		},
	}
	for i := range workers {
		door := []string{byLogin, byLease}[i%2]
		group.Go(func() {
			for ctx.Err() == nil {
				accessor, err := ask[door]()
				if err == nil {
					got.add(accessor, door)
					continue
				}
				if denied(err) {
					t.Errorf("an outage is told as a denial: %v", err)
				}
				got.failed.Add(1)
				time.Sleep(20 * time.Millisecond) // as a client would, and longer
			}
		})
	}
	return got, group.Wait
}

// denied tells whether an answer says that the service account may not have a token.
func denied(err error) bool {
	var ofVault *vault.ResponseError
	if errors.As(err, &ofVault) {
		return ofVault.StatusCode < http.StatusInternalServerError
	}
	var ofConsul consul.StatusError
	return errors.As(err, &ofConsul) && ofConsul.Code < http.StatusInternalServerError
}

// awaitMore waits until something has been counted so many times more than before.
func awaitMore(ctx context.Context, t *testing.T, count *atomic.Int64, more int64) {
	t.Helper()
	for want := count.Load() + more; count.Load() < want; {
		select {
		case <-ctx.Done():
			t.Fatalf("not %d more: %v", more, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
