package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// writes are the two ways to change one field.
func (m *mount) writes(change fields) map[logical.Operation]fields {
	return map[logical.Operation]fields{logical.UpdateOperation: m.config(change), logical.PatchOperation: change}
}

// PEM that lost its line feeds on the way is stored as PEM that Vault's own method reads,
// logins go by it, and the same text written again changes nothing.
func TestConfigTakesPEMAsPeopleHaveIt(t *testing.T) {
	for name, spell := range map[string]func(string) string{
		"one line":                   func(s string) string { return strings.ReplaceAll(s, "\n", " ") },
		"line feeds that are two":    func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) },
		"indented":                   func(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") },
		"base64, as in a kubeconfig": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			change := fields{
				"kubernetes_ca_cert": spell(m.api.CAPEM),
				"pem_keys":           spell(kubetest.NewECDSAKey().PublicPEM() + m.api.ECDSAKey().PublicPEM()),
			}
			for operation, data := range m.writes(change) {
				if o := m.do(operation, "config", data); o.status != http.StatusOK || o.warnings != nil {
					t.Fatalf("%s: %d %s %q", operation, o.status, o.message, o.warnings)
				}
				read := m.read("config")
				if read["kubernetes_ca_cert"] != m.api.CAPEM {
					t.Errorf("%s: the CA is read as %q", operation, read["kubernetes_ca_cert"])
				}
				keys := read["pem_keys"].([]string)
				if len(keys) != 2 || keys[1] != trimmedPEM(m.api.ECDSAKey()) {
					t.Errorf("%s: the keys are read as %q", operation, keys)
				}
				m.mustLogin(m.token())
			}
			before := m.storage.text(t, "config")
			m.write("config", m.config(change))
			read := m.read("config")
			m.write("config", m.config(fields{"kubernetes_ca_cert": read["kubernetes_ca_cert"], "pem_keys": read["pem_keys"]}))
			if got := m.storage.text(t, "config"); got != before {
				t.Errorf("an equal write, or one of what was read, changes it to %s", got)
			}
		})
	}
}

// A text is taken apart where a comma joins keys, and not at commas in comments.
func TestConfigKeysWithCommas(t *testing.T) {
	m := newMount(t)
	key, other := m.api.ECDSAKey(), kubetest.NewECDSAKey()
	commented := "Subject: C=US, O=Acme, CN=a\n" + other.CertificatePEM() + "Subject: C=US, O=Acme\n" + key.CertificatePEM()
	for text, want := range map[string]int{
		commented: 2, key.PublicPEM() + "," + other.PublicPEM(): 2, trimmedPEM(key) + " ,\n" + trimmedPEM(other): 2, "# a, b\n" + key.PublicPEM(): 1,
	} {
		m.write("config", m.config(fields{"pem_keys": text}))
		if got := m.read("config")["pem_keys"].([]string); len(got) != want {
			t.Errorf("%q is read as %q", text, got)
		}
	}
	if o := m.do(logical.UpdateOperation, "config", m.config(fields{"pem_keys": key.PublicPEM() + ",garbage"})); o.status != http.StatusBadRequest || o.message != config.NoKeys {
		t.Errorf("%d %s", o.status, o.message)
	}
}

func TestConfigRefusesPEMWithAReason(t *testing.T) {
	m := newMount(t)
	key := kubetest.NewECDSAKey()
	der, err := x509.MarshalPKCS8PrivateKey(key.Private)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	m.write("config", m.config(nil))
	before := m.storage.text(t, "config")
	for name, row := range map[string]struct {
		change fields
		words  string
	}{
		"one certificate of two is broken": {fields{"kubernetes_ca_cert": m.api.CAPEM + strings.Replace(m.api.CAPEM, "MII", "MIJ", 1)}, config.NoCertificates + ": block 2, line "},
		"a private key beside the CA":      {fields{"kubernetes_ca_cert": m.api.CAPEM + private}, config.NoCertificates + ": block 2, line "},
		"a private key as pem_keys":        {fields{"pem_keys": []string{private}}, config.NoKeys + ": block 1, line 1: this is a private key"},
		"the name of a file as the CA":     {fields{"kubernetes_ca_cert": "ca.crt"}, config.NoCertificates + ": it is the name of a file; with the vault command, kubernetes_ca_cert=@ca.crt sends what is in it"},
		"the name of a file as pem_keys":   {fields{"pem_keys": "./sa.pub"}, "pem_keys=@./sa.pub"},
		"a variable":                       {fields{"kubernetes_ca_cert": "$CA"}, "a variable without its value"},
	} {
		for operation, data := range m.writes(row.change) {
			o := m.do(operation, "config", data)
			if o.status != http.StatusBadRequest || !strings.Contains(o.message, row.words) || strings.Contains(o.message, strings.Split(private, "\n")[1]) {
				t.Errorf("%s, %s: %d %s, want %q", name, operation, o.status, o.message, row.words)
			}
		}
	}
	if m.storage.text(t, "config") != before {
		t.Error("what was refused is stored")
	}
}

// What Vault's own method stored goes on, whatever a write of it would be told now, and
// does not keep other fields from being changed.
func TestStoredConfigGoesOn(t *testing.T) {
	m := newMount(t)
	broken := strings.Replace(kubetest.NewECDSAKey().CertificatePEM(), "MI", "MJ", 1)
	keys := []string{m.api.ECDSAKey().PublicPEM() + trimmedPEM(kubetest.NewECDSAKey())}
	stored, err := json.Marshal(fields{
		"host": m.api.URL, "ca_cert": broken + m.api.CAPEM, "token_reviewer_jwt": m.api.Reviewer, "pem_keys": keys,
		"disable_iss_validation": true, "disable_local_ca_jwt": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.storage.put(t, "config", string(stored))
	m.write("role/demo", m.role(nil))
	m.mustLogin(m.token())
	if o := m.do(logical.PatchOperation, "config", fields{"issuer": "https://issuer"}); o.status != http.StatusOK {
		t.Fatalf("patch: %d %s", o.status, o.message)
	}
	m.write("config", m.config(fields{"kubernetes_ca_cert": broken + m.api.CAPEM, "pem_keys": keys}))
	if got := m.read("config"); got["kubernetes_ca_cert"] != broken+m.api.CAPEM || !slices.Equal(got["pem_keys"].([]string), keys) {
		t.Errorf("what is stored was changed to %q", got)
	}
	m.mustLogin(m.token())
}

// So it is where an import brings the configuration.
func TestImportTakesPEMAsPeopleHaveIt(t *testing.T) {
	m := newMount(t)
	method := func(ca string) fields {
		text, err := json.Marshal(fields{"Name": "k8s", "Type": "kubernetes", "Config": fields{"Host": m.api.URL, "CACert": ca, "ServiceAccountJWT": m.api.Reviewer}})
		if err != nil {
			t.Fatal(err)
		}
		return fields{"auth_method": string(text), "binding_rules": "[]"}
	}
	if o := m.do(logical.UpdateOperation, "import/consul", method(m.api.CAPEM+strings.Replace(m.api.CAPEM, "MII", "MIJ", 1))); o.status != http.StatusBadRequest || !strings.Contains(o.message, "block 2, line ") {
		t.Errorf("%d %s", o.status, o.message)
	}
	m.write("import/consul", method(strings.ReplaceAll(m.api.CAPEM, "\n", " ")))
	if got := m.read("config")["kubernetes_ca_cert"]; got != m.api.CAPEM {
		t.Errorf("the CA is read as %q", got)
	}
}

// connectTo is a proxy that leads to a server whatever host it is asked for, and tells
// which those were.
func connectTo(t *testing.T, server string) (proxy string, asked chan string) {
	t.Helper()
	asked = make(chan string, 100)
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		to, err := net.Dial("tcp", server)
		if err != nil {
			t.Error(err)
			return
		}
		defer to.Close()
		w.WriteHeader(http.StatusOK)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer from.Close()
		go func() { _, _ = io.Copy(to, from); to.Close() }()
		_, _ = io.Copy(from, to)
	}))
	t.Cleanup(p.Close)
	return p.URL, asked
}

// A host as the Go of Vault 1.21 takes it logs in as it did there.
func TestStoredIPv6HostWithoutBrackets(t *testing.T) {
	const host = "https://fd00:10:96::1:443"
	m := newMount(t)
	server, err := url.Parse(m.api.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy, asked := connectTo(t, server.Host)
	m.storage.put(t, "config", strings.NewReplacer("HOST", host, "CA", strings.ReplaceAll(m.api.CAPEM, "\n", `\n`), "REVIEWER", m.api.Reviewer, "PROXY", proxy).
		Replace(`{"host":"HOST","ca_cert":"CA","token_reviewer_jwt":"REVIEWER","disable_iss_validation":true,"disable_local_ca_jwt":true,"proxy_url":"PROXY","tls_server_name":"127.0.0.1"}`))
	m.write("role/demo", m.role(nil))
	m.mustLogin(m.token())
	if got := <-asked; got != "CONNECT [fd00:10:96::1]:443" {
		t.Errorf("it asked for %s", got)
	}
	if o := m.write("config", m.config(fields{"kubernetes_host": host, "proxy_url": proxy, "tls_server_name": "127.0.0.1"})); o.warnings != nil {
		t.Errorf("the host is what it was, and the answer warns: %q", o.warnings)
	}
	m.mustLogin(m.token())

	other := newMount(t)
	o := other.write("config", other.config(fields{"kubernetes_host": host}))
	if len(o.warnings) != 1 || !strings.Contains(o.warnings[0], "https://[fd00:10:96::1]:443") || other.read("config")["kubernetes_host"] != host {
		t.Errorf("written: %q", o.warnings)
	}
	if o := other.do(logical.PatchOperation, "config", fields{"kubernetes_host": "fd00:10:96::1:443"}); o.status != http.StatusBadRequest || !strings.Contains(o.message, "https://[fd00:10:96::1]:443") {
		t.Errorf("without a scheme: %d %s", o.status, o.message)
	}
}

func TestReviewerThatIsNoToken(t *testing.T) {
	m := newMount(t)
	m.write("config", m.config(nil))
	jwt := m.api.Reviewer
	cut := len(jwt) / 2
	for text, words := range map[string]string{
		"reviewer.jwt":                   "token_reviewer_jwt=@reviewer.jwt",
		"token.txt":                      "token_reviewer_jwt=@token.txt",
		"./secrets/reviewer":             "token_reviewer_jwt=@FILE",
		"/var/run/secrets/x/token":       "token_reviewer_jwt=@FILE",
		"~/reviewer":                     "token_reviewer_jwt=@FILE",
		"@reviewer.jwt":                  "@ reads a file with the vault command alone",
		"null":                           "what programs print where there is nothing",
		"<no value>":                     "what programs print where there is nothing",
		"$REVIEWER":                      "a variable without its value",
		"${REVIEWER}":                    "a variable without its value",
		`"` + jwt + `"`:                  "quotes",
		"'" + jwt:                        "quotes",
		jwt + `\n`:                       "backslash",
		"Bearer " + jwt:                  "without Bearer",
		"bearer:" + jwt:                  "without Bearer",
		jwt[:cut] + "\n" + jwt[cut:]:     "on one line",
		jwt[:cut] + " " + jwt[cut:]:      "on one line",
		jwt[:cut] + "\u200b" + jwt[cut:]: "on one line",
		"Authorization: Bearer hunter2":  "on one line",
		"Name: x\n\nData\n====\ntoken:      " + jwt + "\n":                 "what follows after token:",
		"  token: \"" + jwt + "\"":                                         "what follows after token:",
		"<" + jwt[:10] + ">":                                               "a placeholder",
		"error: You must be logged in to the server (Unauthorized)":        "what a command said that failed",
		"Error from server (NotFound): secrets \"reviewer\" not found":     "what a command said that failed",
		`{"kind":"Secret","data":{"token":"` + jwt + `"},"type":"Opaque"}`: "it is a manifest as a whole",
	} {
		for operation, data := range m.writes(fields{"token_reviewer_jwt": text}) {
			o := m.do(operation, "config", data)
			if o.status != http.StatusBadRequest || !strings.Contains(o.message, words) {
				t.Errorf("%q, %s: %d %s, want %q", text, operation, o.status, o.message, words)
			}
			if strings.Contains(o.message, jwt[:cut]) || strings.Contains(o.message, jwt[cut:]) || strings.Contains(o.message, "hunter2") {
				t.Errorf("the token is repeated: %s", o.message)
			}
		}
	}
	// What kubectl get secret prints of a token is its base64.
	for _, text := range []string{jwt, jwt + "\n"} {
		encoded := base64.StdEncoding.EncodeToString([]byte(text))
		for _, text := range []string{encoded, encoded[:76] + "\n" + encoded[76:] + "\n"} {
			m.write("config", m.config(fields{"token_reviewer_jwt": text}))
			if !strings.Contains(m.storage.text(t, "config"), `"`+jwt+`"`) {
				t.Error("what is stored of the base64 of a token is not the token")
			}
		}
	}
	// Static tokens may be anything that fits in a header.
	for _, text := range []string{
		"31ada4fd-adec-460c-809a-9e56ceb75269", "abcdef.0123456789abcdef", "zHm3/pQx+77/aaBBccDD0w==", "/Hm3pQx77aaBBccDD0wxyzAB",
		" " + jwt + "\n", "bearer-of-secrets", "token", "$2a$10$abc", "",
	} {
		m.write("config", m.config(fields{"token_reviewer_jwt": text}))
	}
}
