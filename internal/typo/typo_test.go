package typo_test

import (
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/typo"
)

func TestNearest(t *testing.T) {
	known := []string{"bind_name", "bind_type", "description", "name", "selector"}
	for typed, want := range map[string]string{
		"selecter": "selector", "Selector": "selector", "slector": "selector", "selectors": "selector", "seletcor": "selector",
		"bind-name": "bind_name", "BindName": "bind_name", "bindtype": "bind_type", "type": "bind_type", "naem": "name", "desc": "", "x": "", "": "",
		strings.Repeat("selector", 100): "",
	} {
		if got := typo.Nearest(typed, known); got != want {
			t.Errorf("%.20q: %q, want %q", typed, got, want)
		}
	}
	for typed, want := range map[string]string{"host": "kubernetes_host", "ca_cert": "kubernetes_ca_cert", "jwt": "", "names": ""} {
		if got := typo.Nearest(typed, []string{"kubernetes_ca_cert", "kubernetes_host", "token_reviewer_jwt", "bound_names", "other_names"}); got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
	if got := typo.Nearest("selecter", []string{"BindName", "Selector"}); got != "Selector" {
		t.Errorf("of names in letter case of their own: %q", got)
	}
}
