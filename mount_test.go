package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/logtest"
)

// mount is a backend as Vault has it mounted, with what is around it. As fixture,
// the API server has the service account web in the namespace apps, whose pods
// the role demo is for, with the audience vault.
type mount struct {
	*backend
	t       testing.TB
	api     *kubetest.Server
	storage *storage
	logs    *logtest.Logs
	// podFolder is where the files of the pod are that Vault is in; empty at
	// first, since it is in none.
	podFolder string
}

const maxLease = 48 * time.Hour

// newMount makes a mount without configuration and roles.
func newMount(t testing.TB) *mount {
	t.Helper()
	folder := t.TempDir()
	m := &mount{
		backend:   newBackend(),
		t:         t,
		api:       kubetest.Start(t),
		storage:   newStorage(),
		logs:      logtest.New(),
		podFolder: folder,
	}
	m.podCA = kube.NewFile(filepath.Join(folder, "ca.crt"), nil)
	m.podToken = kube.NewFile(filepath.Join(folder, "token"), nil)
	m.log.Logins = false // whatever the environment says
	m.api.AddServiceAccount("apps", "web")
	system := logical.TestSystemView()
	system.MaxLeaseTTLVal = maxLease
	system.PluginEnvironment = &logical.PluginEnvironment{VaultVersion: "1.21.0"}
	if err := m.Setup(t.Context(), &logical.BackendConfig{Logger: m.logs, System: system, StorageView: m.storage}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Cleanup(context.Background()) })
	t.Cleanup(m.wantExpectedEnds)
	return m
}

type fields = map[string]any

// newDemo is newMount with a configuration and the role demo, and the changes to
// either.
func newDemo(t *testing.T, config, role fields) *mount {
	t.Helper()
	m := newMount(t)
	m.write("config", m.config(config))
	m.write("role/demo", m.role(role))
	return m
}

// merge applies changes; nil takes a field away.
func merge(base, changes fields) fields {
	maps.Copy(base, changes)
	maps.DeleteFunc(base, func(_ string, value any) bool { return value == nil })
	return base
}

// config is a configuration of the fake API server, with changes.
func (m *mount) config(changes fields) fields {
	return merge(fields{
		"kubernetes_host":      m.api.URL,
		"kubernetes_ca_cert":   m.api.CAPEM,
		"token_reviewer_jwt":   m.api.Reviewer,
		"disable_local_ca_jwt": true,
		// That of the tokens that token makes.
		"binding_rule_audiences": []string{"vault"},
	}, changes)
}

// role is the role demo, with changes.
func (m *mount) role(changes fields) fields {
	return merge(fields{
		"bound_service_account_names":      "web",
		"bound_service_account_namespaces": "apps",
		"audience":                         "vault",
		"token_policies":                   "p1,p2",
	}, changes)
}

// token is a token that the role demo accepts, with changes.
func (m *mount) token(changes ...kubetest.Change) string {
	return m.api.Token("apps", "web", append([]kubetest.Change{kubetest.Audience("vault")}, changes...)...)
}

// outcome is what a client of Vault sees of a request.
type outcome struct {
	status   int
	message  string // of an error
	warnings []string
	data     fields
	auth     *logical.Auth
	err      error
}

// do makes a request as Vault does.
func (m *mount) do(operation logical.Operation, path string, data fields) outcome {
	m.t.Helper()
	return m.as(m.t.Context(), operation, path, data)
}

// as is do for a client that waits for as long as a context says.
func (m *mount) as(ctx context.Context, operation logical.Operation, path string, data fields) outcome {
	m.t.Helper()
	request := &logical.Request{
		Operation:  operation,
		Path:       path,
		Data:       maps.Clone(data),
		Storage:    m.storage,
		MountPoint: "auth/test/",
		Connection: &logical.Connection{RemoteAddr: "192.0.2.1"},
	}
	if operation == logical.UpdateOperation {
		checked, exists, err := m.HandleExistenceCheck(ctx, request)
		if err != nil {
			return outcomeOf(request, nil, err)
		}
		if checked && !exists {
			request.Operation = logical.CreateOperation
		}
	}
	response, err := m.HandleRequest(ctx, request)
	return outcomeOf(request, response, err)
}

func outcomeOf(request *logical.Request, response *logical.Response, err error) outcome {
	o := outcome{status: statusOf(request, response, err), err: err}
	if err != nil {
		o.message = err.Error()
	}
	if response != nil {
		o.warnings, o.data, o.auth = response.Warnings, response.Data, response.Auth
		if response.IsError() {
			o.message = response.Error().Error()
		}
	}
	return o
}

// statusOf does what Vault does to find the HTTP status of an answer.
func statusOf(request *logical.Request, response *logical.Response, err error) int {
	var (
		coded logical.HTTPCodedError
		user  errutil.UserError // of the existence check
	)
	switch {
	case errors.As(err, &coded):
		return coded.Code()
	case errors.As(err, &user):
		return http.StatusBadRequest
	}
	if status, _ := logical.RespondErrorCommon(request, response, err); status != 0 {
		return status
	}
	return http.StatusOK
}

// write makes a write that has to succeed.
func (m *mount) write(path string, data fields) outcome {
	m.t.Helper()
	o := m.do(logical.UpdateOperation, path, data)
	if o.status != http.StatusOK {
		m.t.Fatalf("writing %s: %d %s", path, o.status, o.message)
	}
	return o
}

// read makes a read that has to succeed.
func (m *mount) read(path string) fields {
	m.t.Helper()
	o := m.do(logical.ReadOperation, path, nil)
	if o.status != http.StatusOK {
		m.t.Fatalf("reading %s: %d %s", path, o.status, o.message)
	}
	return o.data
}

func (m *mount) login(role, jwt string) outcome {
	m.t.Helper()
	return m.do(logical.UpdateOperation, "login", fields{"role": role, "jwt": jwt})
}

// mustLogin logs in under the role demo.
func (m *mount) mustLogin(jwt string) *logical.Auth {
	m.t.Helper()
	o := m.login("demo", jwt)
	if o.status != http.StatusOK || o.auth == nil {
		m.t.Fatalf("login: %d %s; logged: %v", o.status, o.message, m.logs.Take())
	}
	return o.auth
}

// wantRefused checks the status of a refusal, and that a caller of login learns
// from it only what it may.
func wantRefused(t *testing.T, got outcome, status int) {
	t.Helper()
	if got.status != status || got.auth != nil {
		t.Errorf("status %d (%s), auth: %t; want status %d", got.status, got.message, got.auth != nil, status)
		return
	}
	constant := map[int]string{
		http.StatusForbidden:          "permission denied",
		http.StatusServiceUnavailable: couldNotAskMessage,
	}
	if want, ok := constant[status]; ok && got.message != want {
		t.Errorf("the caller reads %q, want %q", got.message, want)
	}
}
