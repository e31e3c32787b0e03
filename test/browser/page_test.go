package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openBed opens the page for the bed and connects it with a token that has the
// permissions of docs/web.md and no others.
func openBed(t *testing.T) *tab {
	t.Helper()
	if bed == nil {
		t.Skip("needs a real Vault and a real cluster, which -short leaves out")
	}
	p := open(t, bed.Vault.Addr)
	p.connect(token(t, "page-vault"))
	return p
}

// token reads one of the tokens that testdata/setup.sh made.
func token(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name+".jwt"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// checkForgotten fails if a service account token, or the part that makes it valid, is
// still about, also for someone who undoes what was typed.
func (p *tab) checkForgotten(jwt string) {
	p.t.Helper()
	parts := strings.Split(jwt, ".")
	p.checkNoTrace("the token", jwt)
	if signature := parts[len(parts)-1]; len(signature) > 100 {
		p.checkNoTrace("the token's signature", signature)
	}
	p.undo("#jwt")
	p.checkNoTrace("the token, after undoing,", jwt)
	p.checkNoTrace("the Vault token", token(p.t, "page-vault"))
}

func TestMountIsShown(t *testing.T) {
	p := openBed(t)
	if mounts := p.text("#mount"); mounts != "clusters/prod\nclusters/staging\nanother path…" {
		t.Errorf("mounts: %q", mounts)
	}
	p.await("#check-result", bed.Cluster.Host, "configuration", "reachable", "tls", "clock",
		"system:serviceaccount:vault-auth:reviewer", "permission tokenreviews")
	if status := p.text("#check-result .notice"); strings.Contains(status, "Fail") {
		t.Errorf("a good mount: %s", p.text("#check-result"))
	}
	p.await("#roles-list", "web", "bound service account names", "20", "oddly-named",
		`<img src=x onerror="document.title=1">`)
	p.await("#rules-list", "namespaces", "policy ns-${serviceaccount.namespace}",
		`a policy named after it <img src=x onerror="document.title=2">`, "* (every service account)",
		"storefront", `namespace.labels.team == "storefront"`)
	p.checkInert()
	p.checkNoTrace("the Vault token", token(t, "page-vault"))

	p.choose("clusters/staging")
	p.await("#check-result", "auth/clusters/staging/check (403)")
}

func TestMountWithoutConfiguration(t *testing.T) {
	if bed == nil {
		t.Skip("needs a real Vault, which -short leaves out")
	}
	p := open(t, bed.Vault.Addr)
	p.connect(bed.Vault.RootToken)
	p.choose("clusters/staging")
	p.await("#check-result .notice", "Fail")
	p.await("#check-result", "configuration", "vault write auth/clusters/staging/config")
	p.await("#roles-list", "There are none.")
	p.await("#rules-list", "There are none")
	p.explain(token(t, "web"), "web")
	p.await("#explanation .notice", "Invalid")
}

func TestGoodTokenIsExplained(t *testing.T) {
	p := openBed(t)
	jwt := token(t, "web")
	p.explain(jwt, "web")
	p.await("#explanation .notice", "Allowed")
	p.await("#explanation ol", "token review", "namespace")
	p.await("#explanation", "What the Vault token would have", "policies", "web", "serviceaccount.namespace", "shop")
	if steps := p.text("#explanation ol"); strings.Contains(steps, "denied") || strings.Contains(steps, "not reached") {
		t.Errorf("steps of a login that is allowed:\n%s", steps)
	}
	p.checkForgotten(jwt)
	p.checkInert()
	p.checkLooks("allowed")

	p.explain(jwt, "")
	p.await("#explanation .notice", "Allowed")
	p.await("#explanation", "ns-shop", "storefront", `namespace.labels["team"]`,
		"Rules matched", "namespaces: grants policy ns-shop", "Rules not matched", "runners: ")
	p.checkForgotten(jwt)
	p.checkLooks("allowed-by-rules")
}

func TestBadTokensAreExplained(t *testing.T) {
	p := openBed(t)
	visitor := token(t, "visitor")
	good := token(t, "web")
	body, signature := good[:strings.LastIndex(good, ".")+1], good[strings.LastIndex(good, ".")+1:]
	for _, tt := range []struct {
		name, jwt, role string
		notice          []string
		steps           []string
	}{
		{"not bound", visitor, "web", []string{"Denied", "service account name", "The client reads: 403 permission denied"},
			[]string{"token review", "visitor", "lab", "not reached"}},
		{"forged", body + strings.Repeat("A", len(signature)), "web", []string{"Denied", "token review"}, []string{"not reached"}},
		{"garbage", `<img src=x onerror="document.title=3">`, "web", []string{"Denied", "token form"}, []string{"not reached"}},
		{"no such role", good, "no-such-role", []string{"Invalid", "no-such-role"}, nil},
		{"markup as role", good, "<b>x</b>", []string{"Invalid"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.explain(tt.jwt, tt.role)
			p.await("#explanation .notice", tt.notice...)
			if tt.steps != nil {
				p.await("#explanation ol", tt.steps...)
			}
			if shown := p.text("#explanation"); strings.Contains(shown, "What the Vault token would have") {
				t.Errorf("a token is promised:\n%s", shown)
			}
			p.checkForgotten(tt.jwt)
			p.checkInert()
		})
	}
	p.explain(visitor, "web")
	p.checkLooks("denied")
	p.picture("web", 1200, 1290)
}

// TestWeakTokenIsTold has the page used with a Vault token that may do little.
func TestWeakTokenIsTold(t *testing.T) {
	if bed == nil {
		t.Skip("needs a real Vault, which -short leaves out")
	}
	p := open(t, bed.Vault.Addr)
	p.paste("#vault-token", token(t, "weak-vault"))
	p.click("#connect button")
	p.await("#messages", "sys/auth (403): permission denied")
	p.paste("#other-path", "clusters/prod")
	p.click("#other-form button")
	p.await("#roles-list", "oddly-named")
	p.await("#check-result", "auth/clusters/prod/check (403): permission denied", "“read”")
	p.await("#rules-list", "auth/clusters/prod/binding-rule (403): permission denied", "“list”")
	p.explain(token(t, "web"), "web")
	p.await("#explanation", "auth/clusters/prod/explain (403): permission denied", "“update”")
	p.checkForgotten(token(t, "web"))
}
