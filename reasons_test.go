package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// TestSeveralIssuers: while a cluster changes its issuer, tokens of both log in, and those
// of a third do not.
func TestSeveralIssuers(t *testing.T) {
	m := newDemo(t, fields{"issuer": "https://old.example, " + kubetest.DefaultIssuer, "disable_iss_validation": false}, nil)
	m.mustLogin(m.token())
	if found := fmt.Sprint(m.read("check")["issuer"]); !strings.HasPrefix(found, "pass: ") || !strings.Contains(found, `"https://old.example" or`) {
		t.Errorf("check says %q", found)
	}
	if got := m.read("config")["issuer"]; got != "https://old.example, "+kubetest.DefaultIssuer {
		t.Errorf("read back as %q", got)
	}
	third := m.token(kubetest.Claim("iss", "https://third.example"))
	wantRefused(t, m.login("demo", third), http.StatusForbidden)
	if reason := fmt.Sprint(m.explain(fields{"role": "demo", "jwt": third}).data["reason"]); !strings.Contains(reason, "asks for one of") {
		t.Errorf("the reason is %q", reason)
	}
	before := len(m.api.Requests())
	wantRefused(t, m.login("demo", m.token(kubetest.Claim("iss", "https://old.example, "+kubetest.DefaultIssuer))), http.StatusForbidden)
	if len(m.api.Requests()) != before {
		t.Error("a token with the whole list as its issuer was sent on")
	}
}

// TestOneRuleAmongMany: one rule can be asked about, however many come before it.
func TestOneRuleAmongMany(t *testing.T) {
	m := newRules(t, nil)
	m.rule("base", "*", "policy", "base")
	for i := range 250 {
		m.rule(fmt.Sprintf("other-%03d", i), `serviceaccount.name == "x"`, "policy", "x")
	}
	m.rule("zz-mine", `serviceaccount.name == "db"`, "policy", "db")
	ask := func(rule string) string {
		return fmt.Sprint(m.write("explain", fields{"jwt": m.token(), "rule": rule}).data["rule"])
	}
	for rule, want := range map[string]string{
		"ZZ-mine": `zz-mine: serviceaccount.name == "db" is false`, "base": "base: grants policy base", "gone": `there is no binding rule "gone"`,
	} {
		if got := ask(rule); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}

// TestRemedyOfARoleWithPairs: the command of the remedy, once it was run, lets the account
// in.
func TestRemedyOfARoleWithPairs(t *testing.T) {
	m := newMount(t)
	m.write("config", m.config(nil))
	m.write("role/demo", fields{"bound_service_accounts": "shop/web,shop/api", "audience": "vault"})
	token := m.token()
	wantRefused(t, m.login("demo", token), http.StatusForbidden)
	remedy := fmt.Sprint(m.explain(fields{"role": "demo", "jwt": token}).data["remedy"])
	_, command, found := strings.Cut(remedy, ": ")
	if !found {
		t.Fatalf("no command in %q", remedy)
	}
	m.runWrite(t, command)
	m.mustLogin(token)
}

// runWrite does what a shell and vault would do with "vault write PATH KEY=VALUE…".
func (m *mount) runWrite(t *testing.T, command string) {
	t.Helper()
	words, err := exec.CommandContext(t.Context(), "bash", "-c", "set -- "+command+`; printf '%s\n' "$@"`).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	args := strings.Split(strings.TrimSuffix(string(words), "\n"), "\n")
	if len(args) < 4 || args[0] != "vault" || args[1] != "write" && args[1] != "patch" {
		t.Fatalf("%q is no write", command)
	}
	data := fields{}
	for _, pair := range args[3:] {
		key, value, _ := strings.Cut(pair, "=")
		data[key] = value
	}
	var operation logical.Operation = logical.UpdateOperation
	if args[1] == "patch" {
		operation = logical.PatchOperation
	}
	if o := m.do(operation, strings.TrimPrefix(args[2], "auth/test/"), data); o.status != http.StatusOK {
		t.Fatalf("%s: %d %s", command, o.status, o.message)
	}
}

// TestReasonOfANamespaceSelector shows both sides of what does not match.
func TestReasonOfANamespaceSelector(t *testing.T) {
	m := newDemo(t, nil, fields{"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": `{"matchLabels":{"env":"prod"}}`})
	m.api.AddNamespace("apps", map[string]string{"env": "dev", "team": "red"})
	m.api.Grant(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.Namespaces)
	reason := fmt.Sprint(m.explain(fields{"role": "demo", "jwt": m.token()}).data["reason"])
	for _, want := range []string{`{"matchLabels":{"env":"prod"}}`, "env=dev", "team=red", "bound_service_account_namespace_selector"} {
		if !strings.Contains(reason, want) {
			t.Errorf("%q lacks %s", reason, want)
		}
	}
}
