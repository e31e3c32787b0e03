package clients

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	auth "github.com/hashicorp/vault/api/auth/kubernetes"
)

// newGoClient is a client as a Go program has it that knows an address only.
func newGoClient(t testing.TB, p place) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address = p.addr
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	client.ClearToken()
	return client
}

func goAuth(p place) (*auth.KubernetesAuth, error) {
	return auth.NewKubernetesAuth(p.role, auth.WithServiceAccountTokenPath(p.file), auth.WithMountPath(p.mount))
}

// goLogin logs in with vault/api and vault/api/auth/kubernetes.
func goLogin(t testing.TB, p place) said {
	t.Helper()
	client := newGoClient(t, p)
	if p.wrapped {
		client.SetWrappingLookupFunc(func(string, string) string { return "60s" })
	}
	method, err := goAuth(p)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := method.Login(t.Context(), client) // client.Auth().Login takes no wrapped answer
	var refused *api.ResponseError
	switch {
	case errors.As(err, &refused):
		return said{Error: fmt.Sprint("ResponseError, ", refused.StatusCode), Text: err.Error()}
	case err != nil:
		return said{Error: fmt.Sprintf("%T", err), Text: err.Error()}
	case p.wrapped:
		return said{Accessor: secret.WrapInfo.WrappedAccessor}
	}
	return said{Accessor: secret.Auth.Accessor}
}

// goWatcher keeps a token as the documentation of vault/api does: it logs in, has a
// LifetimeWatcher renew, and logs in again when that ends, after a second if it fails.
func goWatcher(t testing.TB, p place) *process {
	t.Helper()
	client := newGoClient(t, p)
	ctx, cancel := context.WithCancel(context.Background())
	out := &process{done: make(chan struct{})}
	go func() {
		defer close(out.done)
		for ctx.Err() == nil {
			if err := logInAndWatch(ctx, client, p); err != nil {
				fmt.Fprintln(out, err)
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-out.done
		if t.Failed() {
			t.Logf("the watcher said:\n%s", tail(out.output()))
		}
	})
	return out
}

func logInAndWatch(ctx context.Context, client *api.Client, p place) error {
	method, err := goAuth(p) // it reads the file
	if err != nil {
		return err
	}
	secret, err := client.Auth().Login(ctx, method)
	if err != nil {
		return err
	}
	watcher, err := client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret})
	if err != nil {
		return err
	}
	go watcher.Start()
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-watcher.DoneCh():
			return err
		case <-watcher.RenewCh():
		}
	}
}
