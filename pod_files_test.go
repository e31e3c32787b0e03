package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// podFile replaces a file of the pod as the kubelet does, by a rename; "" removes
// it.
func (m *mount) podFile(name, content string) {
	m.t.Helper()
	path := filepath.Join(m.podFolder, name)
	if content == "" {
		if err := os.Remove(path); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		m.t.Fatal(err)
	}
}

// newPodMount is a mount whose Vault is in a pod of the cluster: nothing but the
// host is configured.
func newPodMount(t *testing.T) *mount {
	t.Helper()
	m := newMount(t)
	m.podFile("ca.crt", m.api.CAPEM)
	m.podFile("token", m.api.Reviewer+"\n")
	m.write("config", fields{"kubernetes_host": m.api.URL})
	m.write("role/demo", m.role(nil))
	return m
}

// wantReviewedBy checks which credential the last requests came with.
func (m *mount) wantReviewedBy(bearer string) {
	m.t.Helper()
	requests := m.api.Requests()
	m.api.Forget()
	if len(requests) == 0 {
		m.t.Error("no request was made")
	}
	for _, r := range requests {
		if r.Bearer != bearer {
			m.t.Errorf("%s %s had another credential", r.Method, r.Path)
		}
	}
}

func TestPodFilesAreUsed(t *testing.T) {
	m := newPodMount(t)
	m.mustLogin(m.token())
	m.wantReviewedBy(m.api.Reviewer)
	if got := m.read("config"); got["kubernetes_ca_cert"] != "" || got["token_reviewer_jwt_set"] != false {
		t.Errorf("the files are shown as configured: %v", got)
	}
	if stored := m.storage.text(t, "config"); len(stored) > 1000 {
		t.Errorf("the files are stored: %s", stored)
	}
}

func TestConfiguredValuesComeBeforePodFiles(t *testing.T) {
	m := newPodMount(t)
	m.podFile("ca.crt", kubetest.Start(t).CAPEM)
	m.podFile("token", "garbage")
	m.write("config", fields{"kubernetes_host": m.api.URL, "kubernetes_ca_cert": m.api.CAPEM, "token_reviewer_jwt": m.api.Reviewer + "\n"})
	m.mustLogin(m.token())
	m.wantReviewedBy(m.api.Reviewer)
}

// Each of the two is taken from the pod on its own.
func TestOnePodFile(t *testing.T) {
	m := newPodMount(t)
	m.podFile("token", "")
	m.write("config", fields{"kubernetes_host": m.api.URL, "token_reviewer_jwt": m.api.Reviewer})
	m.mustLogin(m.token())
	m.podFile("token", m.api.Reviewer)
	m.podFile("ca.crt", "")
	m.write("config", fields{"kubernetes_host": m.api.URL, "kubernetes_ca_cert": m.api.CAPEM})
	m.mustLogin(m.token())
}

func TestPodFilesAreNotUsed(t *testing.T) {
	m := newPodMount(t)
	m.write("config", fields{"kubernetes_host": m.api.URL, "disable_local_ca_jwt": true})
	// The system's roots know nothing of the API server's CA.
	wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	if logged := m.logs.One(t); logged.Fields["class"] != "tls" {
		t.Errorf("logged %s", logged)
	}
	m.write("config", m.config(fields{"token_reviewer_jwt": nil}))
	token := m.token()
	wantRefused(t, m.login("demo", token), http.StatusForbidden)
	m.wantReviewedBy(token)
}

func TestRenewedPodTokenIsPickedUp(t *testing.T) {
	m := newPodMount(t)
	m.mustLogin(m.token())
	m.wantReviewedBy(m.api.Reviewer)
	renewed := m.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName)
	m.podFile("token", renewed)
	m.mustLogin(m.token())
	m.wantReviewedBy(renewed)
}

// A credential that was taken away is not used any longer: the login token has to
// vouch for itself.
func TestMissingPodTokenMeansSelfReview(t *testing.T) {
	m := newPodMount(t)
	m.mustLogin(m.token())
	m.podFile("token", "")
	m.api.Forget()
	token := m.token()
	wantRefused(t, m.login("demo", token), http.StatusForbidden)
	m.wantReviewedBy(token)
	if logged := m.logs.One(t); logged.Level != hclog.Debug {
		t.Errorf("logged %s", logged)
	}
	m.api.Grant("apps", "web", kubetest.TokenReviews)
	token = m.token(kubetest.Audience("vault", m.api.Issuer))
	m.mustLogin(token)
	m.wantReviewedBy(token)
	m.podFile("token", m.api.Reviewer)
	m.mustLogin(m.token())
	m.wantReviewedBy(m.api.Reviewer)
}

// The cluster's CA is replaced: logins go on with the new one, without a write.
func TestReplacedPodCAIsPickedUp(t *testing.T) {
	m := newPodMount(t)
	m.mustLogin(m.token())
	successor := kubetest.Start(t)
	successor.AddServiceAccount("apps", "web")
	m.podFile("token", successor.Reviewer)
	m.write("config", fields{"kubernetes_host": successor.URL})
	token := successor.Token("apps", "web", kubetest.Audience("vault"))
	wantRefused(t, m.login("demo", token), http.StatusServiceUnavailable)
	m.podFile("ca.crt", m.api.CAPEM+successor.CAPEM)
	m.mustLogin(token)
	m.podFile("ca.crt", successor.CAPEM)
	m.mustLogin(token)
	m.podFile("ca.crt", m.api.CAPEM)
	wantRefused(t, m.login("demo", token), http.StatusServiceUnavailable)
}

// A bundle that is gone, empty or half-written is no reason to give up one that
// worked.
func TestBrokenPodCAIsIgnoredWhileAGoodOneIsKnown(t *testing.T) {
	m := newPodMount(t)
	m.mustLogin(m.token())
	m.podFile("ca.crt", m.api.CAPEM[:100])
	m.mustLogin(m.token())
	m.podFile("ca.crt", " ")
	m.mustLogin(m.token())
	m.podFile("ca.crt", "")
	m.mustLogin(m.token())
}

func TestMissingPodCA(t *testing.T) {
	m := newMount(t)
	o := m.do(logical.UpdateOperation, "config", fields{"kubernetes_host": m.api.URL})
	want := "open " + filepath.Join(m.podFolder, "ca.crt") + ": no such file or directory" + // as Vault says it
		"; Vault runs in no pod, so name the CA of the API server: kubernetes_ca_cert=@ca.crt, or disable_local_ca_jwt=true to go by the CAs of Vault's own system"
	if o.status != http.StatusBadRequest || o.message != want {
		t.Errorf("%d %s, want 400 %s", o.status, o.message, want)
	}
	if got := m.storage.text(t, "config"); got != "" {
		t.Errorf("what was refused is stored: %s", got)
	}
}

// A configuration that was written in a pod is read where there is none, after a
// restore for instance. That is not the client's fault, and heals by itself.
func TestMissingPodCAAtLogin(t *testing.T) {
	m := newMount(t)
	m.stored("config", `{"host":"HOST","disable_iss_validation":true}`)
	m.write("role/demo", m.role(nil))
	for range 2 {
		wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	}
	if logged := m.logs.One(t); logged.Level != hclog.Warn || logged.Fields["class"] != "configuration" || logged.Fields["remedy"] == "" {
		t.Errorf("logged %s", logged)
	}
	if got := m.api.Requests(); len(got) > 0 {
		t.Errorf("a request left: %s %s", got[0].Method, got[0].Path)
	}
	m.podFile("ca.crt", m.api.CAPEM)
	m.podFile("token", m.api.Reviewer)
	m.mustLogin(m.token())
}

// Configurations that Vault's own method stored and that cannot work here are the
// operator's trouble, and no denial.
func TestStoredConfigurationsThatCannotWork(t *testing.T) {
	for name, entry := range map[string]string{
		"host":     `{"host":"ftp://k8s.example.com","ca_cert":"CA","disable_local_ca_jwt":true,"disable_iss_validation":true}`,
		"no host":  `{"ca_cert":"CA","disable_local_ca_jwt":true,"disable_iss_validation":true}`,
		"CA":       `{"host":"HOST","ca_cert":"garbage","disable_local_ca_jwt":true,"disable_iss_validation":true}`,
		"pem_keys": `{"host":"HOST","ca_cert":"CA","pem_keys":["garbage"],"disable_local_ca_jwt":true,"disable_iss_validation":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.stored("config", entry)
			m.write("role/demo", m.role(nil))
			wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
			if logged := m.logs.One(t); logged.Level != hclog.Warn || logged.Fields["class"] != "configuration" || logged.Fields["remedy"] == "" {
				t.Errorf("logged %s", logged)
			}
		})
	}
}
