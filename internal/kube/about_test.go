package kube_test

import (
	"context"
	"encoding/pem"
	"maps"
	"net/http"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// everyCall adds to calls what a client asks about itself.
func everyCall() map[string]func(context.Context, *kube.Client) error {
	every := map[string]func(context.Context, *kube.Client) error{
		"Allowed": func(ctx context.Context, c *kube.Client) error {
			_, err := c.Allowed(ctx, kube.Access{Verb: "get", Resource: "namespaces"})
			return err
		},
		"Issuer": func(ctx context.Context, c *kube.Client) error {
			_, err := c.Issuer(ctx)
			return err
		},
	}
	maps.Copy(every, calls)
	return every
}

func encodeCertificate(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(long); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

func TestVersion(t *testing.T) {
	s := kubetest.Start(t)
	s.SetClock(-time.Hour)
	for name, bearer := range map[string]string{"credential": s.Reviewer, "rejected credential": "garbage", "no credential": ""} {
		t.Run(name, func(t *testing.T) {
			got, seen, err := newClient(t, s, credential(bearer)).Version(t.Context())
			if err != nil || got != kubetest.GitVersion {
				t.Errorf("%q, %v", got, err)
			}
			if skew := seen.Date.Sub(seen.At); !seen.Answered || seen.Took <= 0 || skew > -59*time.Minute || skew < -61*time.Minute {
				t.Errorf("%+v", seen)
			}
		})
	}
	// A refusal is an answer too.
	s.Fail(kubetest.Status(http.StatusForbidden))
	_, seen, err := newClient(t, s).Version(t.Context())
	wantFailure(t, err, kube.Forbidden)
	if !seen.Answered || seen.Date.IsZero() {
		t.Errorf("%+v", seen)
	}
	s.Heal()
	s.Fail(kubetest.Text(http.StatusOK, "application/json", `{"gitVersion":""}`))
	_, _, err = newClient(t, s).Version(t.Context())
	wantFailure(t, err, kube.Malformed)
	s.Close()
	_, seen, err = newClient(t, s).Version(t.Context())
	wantFailure(t, err, kube.Connection)
	if seen.Answered {
		t.Errorf("%+v", seen)
	}
}

func TestWhoAmI(t *testing.T) {
	s := kubetest.Start(t)
	user, err := newClient(t, s).WhoAmI(t.Context())
	if err != nil || user.Username != "system:serviceaccount:kube-system:reviewer" {
		t.Errorf("%+v, %v", user, err)
	}
	for name, row := range map[string]struct {
		fault kubetest.Fault
		want  kube.Failure
	}{
		"rejected":            {kubetest.Status(http.StatusUnauthorized), kube.Unauthorized},
		"an older API server": {http.NotFound, kube.NotFound},
		"no answer":           {kubetest.CloseConnection(), kube.Connection},
		"another object":      {kubetest.WrongKind(), kube.Malformed},
		"nobody": {kubetest.Text(http.StatusCreated, "application/json",
			`{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`), kube.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			s.Heal()
			s.Fail(row.fault)
			_, err := newClient(t, s).WhoAmI(t.Context())
			wantFailure(t, err, row.want)
		})
	}
}

func TestAllowed(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s)
	for access, want := range map[kube.Access]bool{
		{Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"}: true,
		{Verb: "get", Resource: "namespaces"}:                                      true,
		{Verb: "delete", Resource: "namespaces"}:                                   false,
		{Verb: "get", Resource: "secrets"}:                                         false,
		{Verb: "create", Resource: "tokenreviews"}:                                 false, // another group
	} {
		if got, err := c.Allowed(t.Context(), access); err != nil || got != want {
			t.Errorf("%+v: %t, %v", access, got, err)
		}
	}
	// An answer about something else must not pass for one.
	s.Fail(kubetest.Text(http.StatusCreated, "application/json", `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1",
		"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}},"status":{"allowed":true}}`))
	_, err := c.Allowed(t.Context(), kube.Access{Verb: "get", Resource: "namespaces"})
	wantFailure(t, err, kube.Malformed)
}

func TestIssuer(t *testing.T) {
	s := kubetest.Start(t)
	if got, err := newClient(t, s).Issuer(t.Context()); err != nil || got != s.Issuer {
		t.Errorf("%q, %v", got, err)
	}
	_, err := newClient(t, s, credential("")).Issuer(t.Context())
	wantFailure(t, err, kube.Forbidden)
	if r := s.Requests()[len(s.Requests())-1]; r.Bearer != "" {
		t.Errorf("a client without a credential sends %q", r.Bearer)
	}
}

// What the API server says of a refusal counts for documents as it does for objects.
func TestSigningKeysRefused(t *testing.T) {
	s := kubetest.Start(t)
	for code, want := range map[int]kube.Failure{http.StatusForbidden: kube.Forbidden, http.StatusUnauthorized: kube.Unauthorized} {
		s.Heal()
		s.Fail(kubetest.Status(code))
		_, err := newClient(t, s).SigningKeys(t.Context(), loginToken)
		wantFailure(t, err, want)
	}
}
