package kube_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/kube"
)

// dialled is the machine and the port that a request to a base URL goes to.
func dialled(t *testing.T, text string) string {
	t.Helper()
	u, err := kube.ParseHost(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	to := ""
	transport := &http.Transport{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		to = address
		return nil, errors.New("not dialled")
	}}
	request, err := http.NewRequest(http.MethodGet, u.String()+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := transport.RoundTrip(request); err == nil {
		response.Body.Close()
	}
	return to
}

// What is written is dialled as it was meant, or refused with the right form.
func TestCheckHost(t *testing.T) {
	for text, row := range map[string]struct{ dials, advice, refusal string }{
		"https://fd00:10:96::1:443":       {dials: "[fd00:10:96::1]:443", advice: "https://[fd00:10:96::1]:443"},
		"https://fd00:10:96::1:6443/":     {dials: "[fd00:10:96::1]:6443", advice: "https://[fd00:10:96::1]:6443"},
		"https://1:2:3:4:5:6:7:8:443/k8s": {dials: "[1:2:3:4:5:6:7:8]:443", advice: "https://[1:2:3:4:5:6:7:8]:443/k8s"},
		"https://[fd00:10:96::1]:443":     {dials: "[fd00:10:96::1]:443"},
		"[fd00:10:96::1]:443":             {dials: "[fd00:10:96::1]:443"},
		"fd00:10:96::1":                   {dials: "[fd00:10:96::1]:443"},
		"::1":                             {dials: "[::1]:443"},
		"fd00::1:abcd":                    {dials: "[fd00::1:abcd]:443"},
		"1:2:3:4:5:6:7:443":               {dials: "[1:2:3:4:5:6:7:443]:443"},
		"10.96.0.1:443":                   {dials: "10.96.0.1:443"},
		"http://10.96.0.1":                {dials: "10.96.0.1:80"},
		" HTTPS://K8S.Example.COM:6443/ ": {dials: "K8S.Example.COM:6443"},
		"k8s.example.com:6443/k8s/c-1/":   {dials: "k8s.example.com:6443"},
		"k8s_dev.internal.":               {dials: "k8s_dev.internal.:443"},

		"fd00:10:96::1:443":                                         {refusal: "write https://[fd00:10:96::1]:443, or https://[fd00:10:96::1:443]"},
		"fd00:10:96::1:16443":                                       {refusal: "write https://[fd00:10:96::1]:16443"},
		"https://fd00:10:96::1":                                     {refusal: "write https://[fd00:10:96::1]"},
		"https://fd00:10:96::abcd/k8s":                              {refusal: "write https://[fd00:10:96::abcd]/k8s"},
		"https://fd00:10:96::1:99999":                               {refusal: `the port "99999" is not between`},
		"fe80::1%eth0":                                              {refusal: "write https://[fe80::1%25eth0]"},
		"https://[fe80::1%eth0]:6443":                               {refusal: "write https://[fe80::1%25eth0]:6443"},
		"http:/k8s.example.com":                                     {refusal: "the scheme is not followed by ://"},
		"https//k8s.example.com":                                    {refusal: "the scheme is not followed by ://"},
		"https:k8s.example.com":                                     {refusal: "the scheme is not followed by ://"},
		"https://https://k8s.example.com":                           {refusal: "the scheme is there twice"},
		"https://https:/k8s.example.com":                            {refusal: "the scheme is there twice"},
		"$KUBERNETES_HOST":                                          {refusal: "a variable in it without its value"},
		"https://${KUBERNETES_SERVICE_HOST}:443":                    {refusal: "a variable in it without its value"},
		"https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT": {refusal: "a variable in it without its value"},
		"%KUBERNETES_HOST%":                                         {refusal: "a variable in it without its value"},
		"https://:443":                                              {refusal: "names no host"},
		"kubeconfig.yaml":                                           {refusal: "the name of a file"},
		"~/.kube/config":                                            {refusal: "the name of a file"},
		"/etc/kubernetes/admin.conf":                                {refusal: "the name of a file"},
		"./admin.conf":                                              {refusal: "the name of a file"},
		"@host.txt":                                                 {refusal: "reads a file with the vault command alone"},
		"https://<host>:6443":                                       {refusal: "can be in no name of a host"},
		"https://10.96.0.1000":                                      {refusal: "ends with a number"},
		"10.96..1:443":                                              {refusal: "between two dots is empty"},
		"h1,h2":                                                     {refusal: "a mount has one: write h1"},
		"https://user:hunter2@k8s.example.com":                      {refusal: "user info"},
		"https://user:hun/ter2@k8s.example.com":                     {refusal: "user info"},
		"@hunter2@k8s":                                              {refusal: "the vault command alone"},
	} {
		t.Run(text, func(t *testing.T) {
			advice, err := kube.CheckHost(text)
			switch {
			case row.refusal != "" && err == nil:
				t.Errorf("taken, and dials %s", dialled(t, text))
			case row.refusal != "":
				if !strings.Contains(err.Error(), row.refusal) || strings.Contains(err.Error(), "hun") {
					t.Errorf("%v, want %q", err, row.refusal)
				}
			case err != nil:
				t.Error(err)
			default:
				if to := dialled(t, text); !strings.EqualFold(to, row.dials) {
					t.Errorf("dials %s, want %s", to, row.dials)
				}
				if !strings.HasSuffix(advice, row.advice) || row.advice == "" && advice != "" {
					t.Errorf("advice %q, want %q", advice, row.advice)
				}
			}
		})
	}
}

// What is stored goes on as it did, by Vault's own method or by this one.
func TestStoredHostsGoOn(t *testing.T) {
	for text, want := range map[string]string{
		"https://fd00:10:96::1:443":  "[fd00:10:96::1]:443", // as the Go of Vault 1.21 dials it
		"https://fd00:10:96::1:6443": "[fd00:10:96::1]:6443",
		"fd00:10:96::1:443":          "[fd00:10:96::1:443]:443", // which Vault's own method could not dial
		"https//k8s":                 "https:443",
	} {
		if to := dialled(t, text); to != want {
			t.Errorf("%s dials %s, want %s", text, to, want)
		}
	}
}

func FuzzCheckHost(f *testing.F) {
	for _, seed := range []string{"fd00::1:443", "https://fd00::1:443/x", "$H", "a@b", "https//h", "[::1%eth0]:1", "~", "", "%", "https://%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if _, err := kube.CheckHost(in); err != nil {
			return
		}
		u, err := kube.ParseHost(in)
		if err != nil {
			t.Fatalf("%q is taken, and cannot be used: %v", in, err)
		}
		if _, err := kube.CheckHost(u.String()); err != nil {
			t.Errorf("%q is read as %s, which is refused: %v", in, u, err)
		}
	})
}
