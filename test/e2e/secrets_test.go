package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"strings"
	"testing"
)

// TestNoSecretLeaves has a front before the API server that answers 502 and repeats what
// it was sent, and a proxy that refuses and does the same; neither the answers nor
// Vault's log have a part of it.
func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	f := loginRow{name: "secrets"}.prepare(t)
	ours := f.mounts.ours
	jwt := f.cluster.newToken(t, f.account, audience)
	const password = "hunter2-of-the-proxy"
	secrets := map[string]string{
		"reviewer's token": f.cluster.reviewer, "login's token": jwt, "proxy's password": password,
		"proxy's credential": base64.StdEncoding.EncodeToString([]byte("me:" + password)),
	}
	front, caPEM := echoFront(t)
	for name, config := range map[string]fields{
		"front":                  {"kubernetes_host": front, "kubernetes_ca_cert": caPEM},
		"front, without a token": {"kubernetes_host": front, "kubernetes_ca_cert": caPEM, "token_reviewer_jwt": nil},
		"proxy":                  {"proxy_url": "http://me:" + password + "@" + echoingProxy(t)},
	} {
		config["request_timeout"] = 2
		ours.must(t, http.MethodPost, "config", with(f.cluster.config(), config))
		for what, answer := range map[string]answer{
			"login":   ours.login(t, fields{"role": "app", "jwt": jwt}),
			"explain": ours.send(t, http.MethodPost, "explain", fields{"role": "app", "jwt": jwt}),
			"check":   ours.send(t, http.MethodGet, "check", nil),
			"config":  ours.send(t, http.MethodGet, "config", nil),
		} {
			wantNoPart(t, secrets, name+", "+what, answer.String())
			if what == "login" && answer.Status != http.StatusServiceUnavailable {
				t.Errorf("%s: the login ends as %v", name, answer)
			}
			if what == "explain" && name != "proxy" && !strings.Contains(answer.String(), "[redacted]") {
				t.Errorf("%s: the echo is not in what explain says: %v", name, answer)
			}
		}
	}
	content, err := os.ReadFile(bed.Vault.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, "auth/"+ours.path+"/") {
			found++
			wantNoPart(t, secrets, "the log", line)
		}
	}
	if found == 0 {
		t.Error("the log has no line of this mount")
	}
}

// TestProxyPasswordRoundTrip reads a configuration and writes it back, as Terraform does.
func TestProxyPasswordRoundTrip(t *testing.T) {
	t.Parallel()
	ours := loginRow{name: "proxy"}.prepare(t).mounts.ours
	const password = "hunter2-that-is-kept"
	proxy, used := passingProxy(t)
	config := with(mainCluster(t).config(), fields{"proxy_url": "http://me:" + password + "@" + proxy})
	ours.must(t, http.MethodPost, "config", config)
	read := ours.must(t, http.MethodGet, "config", nil)
	if strings.Contains(read.String(), password) || read.data()["proxy_url"] != "http://me:xxxxx@"+proxy {
		t.Fatalf("it is read as %v", read.data()["proxy_url"])
	}
	ours.must(t, http.MethodPost, "config", with(config, fields{"proxy_url": read.data()["proxy_url"], "cluster_name": "c"}))
	if checked := ours.must(t, http.MethodGet, "check", nil).data(); checked["status"] != "pass" && checked["status"] != "warn" {
		t.Errorf("check says %v", compact(checked))
	}
	if got := <-used; got != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:"+password)) {
		t.Errorf("the proxy was sent %q", got)
	}
	refused := ours.send(t, http.MethodPost, "config", with(config, fields{"proxy_url": "http://me:xxxxx@elsewhere.example.com:3128"}))
	if refused.Status != http.StatusBadRequest {
		t.Errorf("the password would go elsewhere: %v", refused)
	}
}

// TestImportOfObjects sends what consul prints as the JSON that it is.
func TestImportOfObjects(t *testing.T) {
	t.Parallel()
	f := loginRow{name: "import"}.prepare(t)
	method := fields{"Name": "k8s", "Type": "kubernetes", "Config": fields{
		"Host": f.cluster.Host, "CACert": f.cluster.CAPEM, "ServiceAccountJWT": f.cluster.reviewer,
	}}
	rules := []any{fields{"ID": "a1", "AuthMethod": "k8s", "Selector": "serviceaccount.name==app", "BindType": "policy", "BindName": "base"}}
	f.mounts.ours.must(t, http.MethodPost, "import/consul", fields{"auth_method": method, "binding_rules": rules})
	if got := f.mounts.ours.must(t, http.MethodGet, "binding-rule/consul-a1", nil).data()["bind_name"]; got != "base" {
		t.Errorf("the rule binds %v", got)
	}
	// A document that is none: the answer does not repeat it.
	refused := f.mounts.ours.send(t, http.MethodPost, "import/consul", fields{"auth_method": fields{"Type": fields{"x": f.cluster.reviewer}}, "binding_rules": rules})
	if refused.Status != http.StatusBadRequest {
		t.Errorf("%v", refused)
	}
	wantNoPart(t, map[string]string{"reviewer's token": f.cluster.reviewer}, "the refusal", refused.String())
}

// wantNoPart fails the test if a text has 12 characters of a secret in a row.
func wantNoPart(t *testing.T, secrets map[string]string, where, text string) {
	t.Helper()
	const part = 12
	for name, secret := range secrets {
		for i := 0; i+part <= len(secret); i++ {
			if strings.Contains(text, secret[i:i+part]) {
				t.Errorf("%s: %q of the %s is in %.400s", where, secret[i:i+part], name, text)
				break
			}
		}
	}
}

// echoFront answers 502 and repeats the request.
func echoFront(t testing.TB) (url, caPEM string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true)
		w.Header().Set("Location", "/?"+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write(append([]byte("the upstream did not let in "+r.Header.Get("Authorization")+":\n"), dump...))
	}))
	certificate, caPEM := frontCertificate(frontOptions{})
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, caPEM
}

// rawProxy hands each CONNECT to a function.
func rawProxy(t testing.TB, answer func(net.Conn, *http.Request)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func() {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(conn, r)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// echoingProxy refuses, and repeats the credential in every part of its answer.
func echoingProxy(t testing.TB) string {
	return rawProxy(t, func(conn net.Conn, r *http.Request) {
		sent := r.Header.Get("Proxy-Authorization")
		plain, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(sent, "Basic "))
		body := sure(json.Marshal(map[string]string{"sent": sent, "user": string(plain)}))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 407 no %s %s\r\nContent-Length: %d\r\n\r\n%s", plain, sent, len(body), body)
	})
}

// passingProxy connects whoever asks, and tells what it was sent as a credential first.
func passingProxy(t testing.TB) (address string, used <-chan string) {
	sent := make(chan string, 1)
	return rawProxy(t, func(conn net.Conn, r *http.Request) {
		select {
		case sent <- r.Header.Get("Proxy-Authorization"):
		default:
		}
		upstream, err := net.Dial("tcp", r.Host)
		if err != nil {
			return
		}
		defer upstream.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(upstream, conn)
			_ = upstream.Close()
		}()
		_, _ = io.Copy(conn, upstream)
	}), sent
}
