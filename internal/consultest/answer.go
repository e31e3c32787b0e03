package consultest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/consulacl"
)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + r.URL.RequestURI()
	s.mu.Lock()
	s.requests = append(s.requests, request)
	fault := Fault{}
	if s.fault != nil {
		fault = s.fault(request)
	}
	s.mu.Unlock()
	if fault.Hang != nil {
		select {
		case <-fault.Hang:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if fault.Echo != nil {
		body, _ := io.ReadAll(r.Body)
		fault.Body = fault.Echo(r.Header.Get("X-Consul-Token") + " " + r.URL.Path + " " + string(body))
	}
	if fault.Status != 0 {
		http.Error(w, fault.Body, fault.Status)
		return
	}
	a := s.answer(r)
	if fault.After != nil {
		fault.After()
	}
	if fault.Lost {
		panic(http.ErrAbortHandler) // the connection ends
	}
	if a.status != http.StatusOK {
		w.WriteHeader(a.status)
		fmt.Fprint(w, a.text)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.value)
}

// answer is what Consul says.
type answer struct {
	status int
	text   string
	value  any
}

func ok(value any) answer { return answer{status: http.StatusOK, value: value} }

func refused(status int, text string) answer { return answer{status: status, text: text} }

var (
	notFound = refused(http.StatusForbidden, "ACL not found")
	denied   = refused(http.StatusForbidden, "Permission denied: token with AccessorID '1' lacks permission 'acl:write'")
)

func (s *Server) answer(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	with := r.Header.Get("X-Consul-Token")
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if path == "acl/token/self" {
		return s.self(with, r.URL.Query().Has("stale"))
	}
	if path == "internal/acl/authorize" {
		if with != s.own && s.ofSecret(with) == nil {
			return notFound
		}
		return ok([]map[string]any{{"Resource": "acl", "Access": "write", "Allow": with == s.own || s.manages(with)}})
	}
	if path == "catalog/datacenters" {
		return ok([]string{"dc1"})
	}
	if with != s.own && !s.manages(with) {
		if s.ofSecret(with) != nil {
			return denied
		}
		return notFound
	}
	rest, id := path, ""
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		rest, id = path[:i], path[i+1:]
	}
	switch {
	case path == "agent/self":
		return ok(map[string]any{"Config": map[string]any{"Datacenter": "dc1", "Version": "1.14.11"}})
	case path == "acl/tokens":
		return ok(s.withoutSecrets())
	case path == "acl/token" && r.Method == http.MethodPut:
		return s.create(r)
	case rest == "acl/token" && r.Method == http.MethodGet:
		if t := s.tokens[id]; t != nil {
			return ok(t)
		}
		return notFound
	case rest == "acl/token" && r.Method == http.MethodDelete:
		if t := s.tokens[id]; t != nil && t.SecretID == with {
			return refused(http.StatusInternalServerError, "Deletion of the request's authorization token is not permitted")
		}
		if s.tokens[id] == nil {
			return refused(http.StatusForbidden, "Cannot find token to delete: token does not exist: ACL not found")
		}
		if s.tokens[id].SecretID == s.own {
			s.own = ""
		}
		delete(s.tokens, id)
		return ok(true)
	case rest == "acl/role/name":
		if !s.roles[id] {
			return refused(http.StatusNotFound, "")
		}
		return ok(consulacl.Link{ID: id, Name: id})
	case rest == "acl/policy/name":
		if !s.policies[id] {
			return notFound // of policies Consul says it so
		}
		return ok(consulacl.Link{ID: id, Name: id})
	}
	return refused(http.StatusNotFound, "Invalid URL path")
}

// manages tells whether a token has the policy with which ACLs may be written.
func (s *Server) manages(with string) bool {
	t := s.ofSecret(with)
	return t != nil && slices.ContainsFunc(t.Policies, func(l consulacl.Link) bool { return l.Name == "global-management" })
}

func (s *Server) self(with string, stale bool) answer {
	if with == s.own && s.ofSecret(with) == nil {
		return ok(consulacl.Token{AccessorID: "11111111-0000-4000-8000-000000000001", SecretID: with})
	}
	t := s.ofSecret(with)
	if stale && t != nil && s.unknown > 0 {
		s.unknown--
		t = nil
	}
	if t == nil {
		return notFound
	}
	return ok(t)
}

func (s *Server) ofSecret(secret string) *consulacl.Token {
	for _, t := range s.tokens {
		if t.SecretID == secret {
			return t
		}
	}
	return nil
}

func (s *Server) withoutSecrets() []consulacl.Token {
	var all []consulacl.Token
	for _, t := range s.tokens {
		shown := *t
		shown.SecretID = ""
		all = append(all, shown)
	}
	return all
}

func (s *Server) create(r *http.Request) answer {
	var raw json.RawMessage
	body := struct {
		AccessorID, SecretID, Description string

		Local                bool
		ExpirationTTL        string
		Namespace, Partition string
		consulacl.Privileges
	}{}
	if json.NewDecoder(r.Body).Decode(&raw) != nil || json.Unmarshal(raw, &body) != nil {
		return refused(http.StatusBadRequest, "Token decoding failed")
	}
	s.bodies = append(s.bodies, string(raw))
	ttl, err := time.ParseDuration(body.ExpirationTTL)
	switch {
	case body.ExpirationTTL != "" && (err != nil || ttl < time.Minute || ttl > 24*time.Hour):
		return refused(http.StatusInternalServerError, "ExpirationTime cannot be less than 1m0s in the future")
	case s.tokens[body.AccessorID] != nil:
		return refused(http.StatusInternalServerError, "Invalid Token: AccessorID is already in use")
	case len(body.TemplatedPolicies) > 0:
		return refused(http.StatusBadRequest, `Token decoding failed: json: unknown field "TemplatedPolicies"`)
	case strings.Contains(string(raw), `"Namespace"`) || strings.Contains(string(raw), `"Partition"`):
		return refused(http.StatusBadRequest, `Invalid query: "Namespace" is a Consul Enterprise feature`)
	}
	for _, role := range body.Roles {
		if !s.roles[role.Name] {
			return refused(http.StatusInternalServerError, fmt.Sprintf("No such ACL role with name %q", role.Name))
		}
	}
	for _, policy := range body.Policies {
		if !s.policies[policy.Name] {
			return refused(http.StatusInternalServerError, fmt.Sprintf("No such ACL policy with name %q", policy.Name))
		}
	}
	for _, node := range body.NodeIdentities {
		if node.Datacenter == "" {
			return refused(http.StatusInternalServerError, "Node identity is missing the datacenter field on this token")
		}
	}
	now := time.Now()
	expires := now.Add(ttl)
	if body.SecretID == "" {
		body.SecretID = consulacl.NewUUID()
	}
	t := &consulacl.Token{
		AccessorID: body.AccessorID, SecretID: body.SecretID, Description: body.Description, Local: body.Local,
		CreateTime: now, ExpirationTime: &expires, Hash: "aGFzaA==", CreateIndex: 7, ModifyIndex: 7, Privileges: body.Privileges,
	}
	if body.ExpirationTTL == "" {
		t.ExpirationTime = nil
	}
	s.tokens[t.AccessorID] = t
	return ok(t)
}
