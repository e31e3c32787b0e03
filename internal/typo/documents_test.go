package typo

import "testing"

func TestDocumentOf(t *testing.T) {
	for text, want := range map[string]Document{
		"apiVersion: v1\nkind: Config\nclusters: []\n":            Kubeconfig,
		"- cluster:\n    certificate-authority-data: LS0t\n":      Kubeconfig,
		`{"kind":"Config","clusters":[]}`:                         Kubeconfig,
		`{"kind":"Secret","data":{}}`:                             Object,
		"apiVersion: v1\ndata:\n  token: x\n":                     Object,
		"error: You must be logged in to the server":              Complaint,
		`Error from server (NotFound): secrets "x" not found`:     Complaint,
		"The connection to the server localhost:8080 was refused": Complaint,
		"bash: kubectl: command not found":                        Complaint,
		"-----BEGIN CERTIFICATE-----\nMIIB\n":                     "",
		"eyJhbGciOiJSUzI1NiJ9.e30.x":                              "",
		"kind of garbage":                                         "",
		"":                                                        "",
	} {
		if got := DocumentOf(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
