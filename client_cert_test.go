package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

const certifiedUser = "vault-reviewer"

// certified is a configuration whose reviewer is known by a certificate, with changes.
func (m *mount) certified(changes fields) fields {
	m.api.GrantUser(certifiedUser, kubetest.TokenReviews, kubetest.ServiceAccounts, kubetest.Namespaces)
	certificate, key := m.api.ClientCertificate(certifiedUser, time.Now().Add(90*24*time.Hour))
	return m.tokenless(merge(fields{"kubernetes_client_cert": certificate, "kubernetes_client_key": key}, changes))
}

// tokenless is a configuration that names no reviewer's token but that of the changes.
func (m *mount) tokenless(changes fields) fields {
	all := m.config(nil)
	delete(all, "token_reviewer_jwt")
	return merge(all, changes)
}

// With a certificate in the place of the token logins, look-ups, keys and renewals go on, and
// no request has a token of anybody for its credential.
func TestClientCertificateReviews(t *testing.T) {
	for name, pod := range map[string]bool{"outside of the cluster": false, "in a pod, whose token is not for this": true} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			if pod {
				m.podFile("ca.crt", m.api.CAPEM)
				m.podFile("token", m.api.Reviewer)
			}
			m.write("config", m.certified(fields{
				"disable_local_ca_jwt": !pod, "verification": "keys_then_review", "use_annotations_as_alias_metadata": true,
			}))
			m.write("role/demo", m.role(fields{"selector": `namespace.labels.team == "ci"`}))
			m.api.AddNamespace("apps", map[string]string{"team": "ci"})
			m.api.Annotate("apps", "web", map[string]string{"vault.hashicorp.com/alias-metadata-team": "ci"})
			m.rule("r", "", "policy", "p")
			m.api.Forget()
			auth := m.mustLogin(m.token())
			m.mustLoginByRules(m.token())
			if o := m.renew(auth); o.status != http.StatusOK {
				t.Errorf("renewal: %d %s", o.status, o.message)
			}
			seen := map[kubetest.Resource]bool{}
			for _, r := range m.api.Requests() {
				seen[r.Resource] = true
				if r.Bearer != "" {
					t.Errorf("%s was asked with a token", r.Path)
				}
			}
			for _, resource := range []kubetest.Resource{kubetest.TokenReviews, kubetest.ServiceAccounts, kubetest.Namespaces, kubetest.SigningKeys} {
				if !seen[resource] {
					t.Errorf("%s was not asked for", resource)
				}
			}
			m.api.RevokeUser(certifiedUser, kubetest.TokenReviews)
			wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
			if lines := fmt.Sprint(m.logs.Take()); !strings.Contains(lines, "class:forbidden") {
				t.Errorf("nothing is said of a reviewer without its permission: %s", lines)
			}
		})
	}
}

// A certificate is stored with its key as people have them, and neither is read.
func TestClientCertificateIsWritten(t *testing.T) {
	m := newMount(t)
	certificate, key := m.api.ClientCertificate(certifiedUser, time.Now().Add(time.Hour))
	other, otherKey := m.api.ClientCertificate(certifiedUser, time.Now().Add(time.Hour))
	m.api.GrantUser(certifiedUser, kubetest.TokenReviews, kubetest.ServiceAccounts)
	m.write("role/demo", m.role(nil))
	for name, pair := range map[string][2]string{
		"as it is":           {certificate, key},
		"of a kubeconfig":    {base64.StdEncoding.EncodeToString([]byte(certificate)), base64.StdEncoding.EncodeToString([]byte(key))},
		"escaped line feeds": {strings.ReplaceAll(certificate, "\n", `\n`), strings.ReplaceAll(key, "\n", `\n`)},
	} {
		m.write("config", m.certified(fields{"kubernetes_client_cert": pair[0], "kubernetes_client_key": pair[1]}))
		read := m.read("config")
		if read["kubernetes_client_cert_set"] != true || read["token_reviewer_jwt_set"] != false {
			t.Errorf("%s: it reads %v", name, read)
		}
		for field, value := range read {
			if text, ok := value.(string); ok && (strings.Contains(text, "PRIVATE") || field == "kubernetes_client_cert" || field == "kubernetes_client_key") {
				t.Errorf("%s: %s is read", name, field)
			}
		}
		m.mustLogin(m.token())
	}
	stored := m.storage.text(t, "config")
	for name, row := range map[string]struct {
		change fields
		words  string
	}{
		"certificate alone":          {fields{"kubernetes_client_cert": other}, "do not belong together"},
		"key alone":                  {fields{"kubernetes_client_key": otherKey}, "do not belong together"},
		"no key":                     {fields{"kubernetes_client_key": ""}, "need each other"},
		"no certificate":             {fields{"kubernetes_client_cert": ""}, "need each other"},
		"a token beside it":          {fields{"token_reviewer_jwt": m.api.Reviewer}, "two reviewers"},
		"key for a certificate":      {fields{"kubernetes_client_cert": key}, "private key"},
		"certificate for a key":      {fields{"kubernetes_client_key": certificate}, "no private key"},
		"the name of a file":         {fields{"kubernetes_client_key": "client.key"}, "kubernetes_client_key=@client.key"},
		"the name of another file":   {fields{"kubernetes_client_cert": "client.crt"}, "kubernetes_client_cert=@client.crt"},
		"garbage that may be secret": {fields{"kubernetes_client_key": "c2VjcmV0LXBhc3N3b3Jk"}, "no private key"},
	} {
		for _, operation := range []logical.Operation{logical.PatchOperation, logical.UpdateOperation} {
			data := row.change
			if operation == logical.UpdateOperation {
				data = m.tokenless(row.change)
			}
			o := m.do(operation, "config", data)
			if o.status != http.StatusBadRequest || !strings.Contains(o.message, row.words) || strings.Contains(o.message, "c2VjcmV0") {
				t.Errorf("%s, %s: %d %s", name, operation, o.status, o.message)
			}
			for line := range strings.Lines(key + otherKey) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "---") && strings.Contains(o.message, line) {
					t.Errorf("%s, %s: the answer repeats the key", name, operation)
				}
			}
		}
	}
	if m.storage.text(t, "config") != stored {
		t.Error("a refused write changed the configuration")
	}
	// Vault's fields alone, and a renewed pair.
	m.write("config", m.config(fields{"token_reviewer_jwt": nil}))
	m.mustLogin(m.token())
	m.write("config", m.config(fields{"token_reviewer_jwt": nil, "kubernetes_client_cert": other, "kubernetes_client_key": otherKey}))
	m.mustLogin(m.token())
	o := m.write("config", m.config(fields{"kubernetes_client_cert": "", "kubernetes_client_key": ""}))
	if !slices.ContainsFunc(o.warnings, func(w string) bool { return strings.Contains(w, "client certificate that was stored is gone") }) {
		t.Errorf("nothing is said of a reviewer that is gone: %q", o.warnings)
	}
	if text := strings.Join(o.warnings, " ") + m.storage.text(t, "config"); strings.Contains(text, "PRIVATE KEY") {
		t.Error("the key is still there")
	}
	m.mustLogin(m.token()) // by the token that was named
}

// What is wrong with a certificate, check says, and logins are refused for it.
func TestCheckOfAClientCertificate(t *testing.T) {
	for name, row := range map[string]struct {
		pair    func(m *mount) (certificate, key string)
		before  func(m *mount)
		wants   [][]string // check, verdict, words
		refused bool
	}{
		"a good one": {wants: [][]string{
			{"reviewer", "pass", "knows it as vault-reviewer"}, {"reviewer_token", "pass", "kubernetes_client_cert ends at"},
			{"configuration", "pass", "reviewer: kubernetes_client_cert"}, {"permission_tokenreviews", "pass"}, {"issuer", "pass"}, {"server", "pass"},
		}},
		"it ends soon": {
			pair: func(m *mount) (string, string) {
				return m.api.ClientCertificate(certifiedUser, time.Now().Add(24*time.Hour))
			},
			wants: [][]string{{"reviewer", "pass"}, {"reviewer_token", "warn", "ends in 2", "kubernetes_client_cert=@client.crt kubernetes_client_key=@client.key"}},
		},
		"expired": {
			pair: func(m *mount) (string, string) {
				return m.api.ClientCertificate(certifiedUser, time.Now().Add(-time.Hour))
			},
			wants: [][]string{{"reviewer", "fail", "rejects kubernetes_client_cert (401 Unauthorized): it ended at"}, {"reviewer_token", "fail", "ended at"}, {"server", "pass"}, {"permission_tokenreviews", "skip"}}, refused: true,
		},
		"of another cluster": {
			pair: func(m *mount) (string, string) {
				return kubetest.Start(m.t).ClientCertificate(certifiedUser, time.Now().Add(90*24*time.Hour))
			},
			wants: [][]string{{"reviewer", "fail", "no CA that the API server takes clients of", `it says that it is "CN=vault-reviewer"`}, {"reviewer_token", "pass"}, {"server", "pass"}}, refused: true,
		},
		"behind what ends TLS": {
			before: func(m *mount) { m.api.Behind(kubetest.WithoutCertificate()) },
			wants: [][]string{
				{"reviewer", "fail", "the API server does not get to see the client certificate", "without ending TLS"},
				{"permission_tokenreviews", "skip", "does not know the reviewer"},
			}, refused: true,
		},
		"of somebody else, who may nothing": {
			pair: func(m *mount) (string, string) {
				return m.api.ClientCertificate("nobody", time.Now().Add(90*24*time.Hour))
			},
			wants: [][]string{{"reviewer", "pass", "nobody"}, {"permission_tokenreviews", "fail", "--user=nobody"}}, refused: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			if row.before != nil {
				row.before(m)
			}
			config := m.certified(nil)
			if row.pair != nil {
				config["kubernetes_client_cert"], config["kubernetes_client_key"] = row.pair(m)
			}
			m.write("config", config)
			m.write("role/demo", m.role(nil))
			data := m.checked()
			for _, want := range row.wants {
				wantCheck(t, data, want[0], want[1], want[2:]...)
			}
			if row.refused {
				wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
			} else {
				m.mustLogin(m.token())
			}
		})
	}
}
