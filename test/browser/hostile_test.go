package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const markup = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script><b id=injected>b</b>`

// checkInert fails if any of the markup became more than text.
func (p *tab) checkInert() {
	p.t.Helper()
	found := value[[]string](p, `[...document.querySelectorAll("img, b, body script, iframe, a, svg, [onerror]")].map((e) => e.outerHTML)`)
	if len(found) > 0 {
		p.t.Errorf("data became markup: %q", found)
	}
	if title := value[string](p, `document.title`); title != "Kubernetes logins into Vault" {
		p.t.Errorf("the page's title is %q: data was run", title)
	}
}

// TestDataStaysText puts markup into every value that the page shows.
func TestDataStaysText(t *testing.T) {
	vault := newFakeVault(t, map[string]reply{
		"GET sys/auth": ok(fields{
			"m/":         fields{"type": "vault-plugin-auth-kubernetes", "description": markup},
			markup + "/": fields{"type": "kubernetes", "running_plugin_version": "v1.0.0"},
		}),
		"GET auth/m/check": ok(fields{
			"status": markup, "kubernetes_host": markup, "checked_at": markup,
			"configuration": markup, "tls": "fail: " + markup, "tls_remedy": markup,
			"further" + markup: "warn: " + markup, "unknown": markup,
		}),
		"LIST auth/m/role":              ok(fields{"keys": []string{markup}}),
		"LIST auth/m/binding-rule":      ok(fields{"keys": []string{"b"}, "key_info": fields{"b": fields{"bind_type": markup, "bind_name": markup}}}),
		"GET auth/m/binding-rule/b":     ok(fields{"bind_type": markup, "description": markup, markup: []string{markup}, "map": fields{markup: markup}}),
		"GET auth/m/role/" + markup:     ok(fields{"token_policies": []string{markup}}),
		"POST auth/m/explain":           ok(fields{"verdict": markup, "failed_step": markup, "reason": markup, "remedy": markup, "client_sees": markup, "note": markup, "step_01_" + markup: markup, "step_02_x": "denied: " + markup, "rules_" + markup: 1, "rules_" + markup + "/" + markup: markup, "rules_matched": 1, "rules_matched/" + markup: markup, "attributes/" + markup: markup, markup: markup}),
		"LIST auth/" + markup + "/role": refused(http.StatusBadRequest, markup),
	})
	p := open(t, vault.URL)
	p.connect("token")
	p.choose("m")
	p.await("#check-result", markup)
	p.await("#rules-list", "map", markup)
	p.await("#roles-list", markup)
	p.explain("jwt", markup)
	p.await("#explanation", "The client reads: "+markup)
	p.checkInert()
}

// TestErrorsAreShown has each part of the page met by each kind of error.
func TestErrorsAreShown(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply reply
		want  []string
	}{
		{"not permitted", refused(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n"),
			[]string{"refused", "(403): permission denied.", "policies lack"}},
		{"path of an older plugin", refused(http.StatusNotFound, "1 error occurred:\n\t* unsupported path\n\n"),
			[]string{"(404): unsupported path.", "not a current version of this plugin"}},
		{"sealed", refused(http.StatusServiceUnavailable, "Vault is sealed"), []string{"(503): Vault is sealed."}},
		{"no reason", refused(http.StatusInternalServerError), []string{"Vault answered 500", "no reason was given"}},
		{"invalid", refused(http.StatusBadRequest, "remote_addr is no IP address"), []string{"Vault answered 400", "remote_addr is no IP address."}},
		{"errors of another shape", reply{http.StatusBadRequest, fields{"errors": fields{"a": 1}}}, []string{"Vault answered 400", "no reason was given"}},
		{"a page of a proxy", reply{http.StatusBadGateway, "<html><b>Bad gateway</b></html>"}, []string{"is not Vault's (HTTP 502)", "<b>Bad gateway</b>"}},
		{"a success that is no JSON", reply{http.StatusOK, "ok"}, []string{"is not Vault's (HTTP 200)", "ok"}},
		{"JSON that is no object", reply{http.StatusOK, "null"}, []string{"is not Vault's (HTTP 200)"}},
		{"too long", reply{http.StatusOK, `{"data":"` + strings.Repeat("x", 9<<20) + `"}`}, []string{"too long to be shown"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vault := newFakeVault(t, map[string]reply{
				"GET auth/m/check":         tt.reply,
				"LIST auth/m/role":         tt.reply,
				"LIST auth/m/binding-rule": tt.reply,
				"POST auth/m/explain":      tt.reply,
			})
			p := open(t, vault.URL)
			p.connect("token")
			p.explain("jwt", "")
			for _, part := range []string{"#check-result", "#roles-list", "#rules-list", "#explanation"} {
				p.await(part, tt.want...)
			}
			p.checkInert()
		})
	}
}

// TestConnectingFails shows why, and lets those in who may not list mounts.
func TestConnectingFails(t *testing.T) {
	vault := newFakeVault(t, map[string]reply{"GET sys/auth": refused(http.StatusForbidden, "permission denied")})
	p := open(t, vault.URL)
	p.paste("#vault-token", "to\u00a0ken")
	p.click("#connect button")
	p.await("#messages", "not a Vault token")
	p.paste("#vault-token", "hvs.example")
	p.click("#connect button")
	p.await("#messages", "sys/auth (403)", "“read”")
	p.checkNoTrace("the Vault token", "hvs.example")

	p.paste("#other-path", "/auth/m/")
	p.click("#other-form button")
	p.await("#check-result", "complete")
	p.await("#roles-list", "bound service account names", "web")

	for _, path := range []string{"../../sys/raw", "m/..", "."} {
		p.script(`document.querySelector("#other-path").value = ""`)
		p.paste("#other-path", path)
		p.click("#other-form button")
		p.await("#check-result", "is not a path in Vault")
	}
	if p.asked("raw") {
		t.Error("a path left its mount")
	}

	vault.Close()
	p.script(`document.querySelector("#other-path").value = ""`)
	p.paste("#other-path", "m")
	p.click("#other-form button")
	p.await("#check-result", "502", "cannot be reached")
}

// TestWrongVaultToken has Vault not know the token: the field for another one stays.
func TestWrongVaultToken(t *testing.T) {
	vault := newFakeVault(t, map[string]reply{"GET sys/auth": refused(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")})
	p := open(t, vault.URL)
	for _, wrong := range []string{"hvs.wrong", "hvs.wrong-again"} { // which can only be pasted where the field is
		p.paste("#vault-token", wrong)
		p.click("#connect button")
		p.await("#messages", "sys/auth (403)", "invalid token")
		p.await("#entry", "Vault")
	}
}

// TestPageServerGone is what the page says when nobody serves it any more.
func TestPageServerGone(t *testing.T) {
	vault := newFakeVault(t, nil)
	p := open(t, vault.URL)
	p.connect("token")
	p.closePage()
	p.click("#check-again")
	p.await("#check-result", "Vault cannot be reached: the connection failed.")
}

// TestOddShapes has answers whose values are not what they should be.
func TestOddShapes(t *testing.T) {
	many := make([]string, 700)
	for i := range many {
		many[i] = fmt.Sprintf("role-%03d", i)
	}
	vault := newFakeVault(t, map[string]reply{
		"GET sys/auth": ok(fields{"m/": fields{"type": "vault-plugin-auth-kubernetes"}, "n/": nil, "o/": "text", "p/": fields{"type": 7}}),
		"GET auth/m/check": ok(fields{
			"status": 7, "failed": "x", "configuration": fields{"a": []int{1}}, "reachable": nil, "constructor": "fail: no verdict's name",
			"__proto__": "pass: nothing", "long": strings.Repeat("y", 100_000), "pem_keys_remedy": "without its check",
		}),
		"LIST auth/m/role":         ok(fields{"keys": many}),
		"LIST auth/m/binding-rule": ok(fields{"keys": fields{"a": 1}}),
		"POST auth/m/explain": ok(fields{
			"step_10_last": "allowed", "step_9_first": "denied", "step_x_no": 1, "attributes": "text", "rules_matched": "text",
			"policies": 5, "token_ttl": 1200, "failed_step": fields{}, "verdict": "constructor",
		}),
	})
	p := open(t, vault.URL)
	p.connect("token")
	p.await("#check-result", "constructor", "no verdict's name", "(100000 characters)", "without its check")
	p.await("#roles-list", "role-499", "200 more are not listed.")
	p.await("#rules-list", "There are none")
	p.explain("jwt", "")
	p.await("#explanation", "1200 seconds")
	steps := p.text("#explanation ol")
	if first, last := strings.Index(steps, "first"), strings.Index(steps, "last"); first < 0 || last < first {
		t.Errorf("steps are not in the order of their numbers:\n%s", steps)
	}
}

// TestLateAnswer has an answer for one mount arrive when another one is shown.
func TestLateAnswer(t *testing.T) {
	vault := newFakeVault(t, map[string]reply{
		"GET sys/auth": ok(fields{
			"m/": fields{"type": "vault-plugin-auth-kubernetes"},
			"n/": fields{"type": "vault-plugin-auth-kubernetes"},
		}),
		"GET auth/n/check": ok(fields{"status": "fail", "configuration": "fail: of the other mount"}),
	})
	release := vault.hold("GET auth/m/check")
	p := open(t, vault.URL)
	p.paste("#vault-token", "token")
	p.click("#connect button")
	p.await("#check-result", "Checking")
	p.choose("n")
	p.await("#check-result", "of the other mount")
	release()
	p.choose("m")
	p.await("#check-result", "complete")
	p.choose("n")
	p.await("#check-result", "of the other mount")
}

// TestForget takes everything of Vault out of the page.
func TestForget(t *testing.T) {
	vault := newFakeVault(t, nil)
	p := open(t, vault.URL)
	p.connect("hvs.forget-me")
	p.await("#rules-list", "policy p")
	p.explain("jwt", "r")
	p.paste("#jwt", "another-jwt")
	p.click("#leave")
	p.awaitTrue(`!document.querySelector("#entry").hidden && document.activeElement.id === "vault-token"`)
	for _, secret := range []string{"hvs.forget-me", "another-jwt", "configuration", "policy p"} {
		p.checkNoTrace(secret, secret)
	}
}

// TestExplainSendsWhatWasTyped and nothing more.
func TestExplainSendsWhatWasTyped(t *testing.T) {
	vault := newFakeVault(t, nil)
	p := open(t, vault.URL)
	p.connect("token")
	p.click("#explain-form button")
	p.await("#explanation", "Paste a service account token first.")
	p.explain(" a.b.c\n", "")
	if body := vault.lastBody(); body != `{"jwt":"a.b.c"}` {
		t.Errorf("sent %s", body)
	}
	p.paste("#remote-addr", "10.0.0.7")
	p.explain("a.b.c", "web")
	if body := vault.lastBody(); body != `{"jwt":"a.b.c","role":"web","remote_addr":"10.0.0.7"}` {
		t.Errorf("sent %s", body)
	}
}
