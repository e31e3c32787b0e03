package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press sends keys as a keyboard does.
func (p *tab) press(keys string, options ...chromedp.KeyOption) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys, options...))
}

// undo does in a field what Ctrl-Z does.
func (p *tab) undo(selector string) {
	p.t.Helper()
	p.do(chromedp.Focus(chromedp.CSS(selector)))
	for range 3 {
		p.press("z", func(event *input.DispatchKeyEventParams) {
			event.Commands = []string{"undo"}
		}, chromedp.KeyModifiers(kb.ModifierCtrl))
	}
}

// tabTo presses Tab until an element has the focus, which has to be visible.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	for range 40 {
		p.press(kb.Tab)
		if value[bool](p, fmt.Sprintf(`document.activeElement.matches(%s)`, quoted(selector))) {
			if value[string](p, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
				p.t.Errorf("nothing shows that %s has the focus", selector)
			}
			return
		}
	}
	p.t.Fatalf("Tab does not lead to %s", selector)
}

func (p *tab) typeText(text string) {
	p.t.Helper()
	call(p, input.InsertText, input.InsertTextParams{Text: text})
}

// TestKeyboardOnly uses the whole page with no pointer.
func TestKeyboardOnly(t *testing.T) {
	vault := newFakeVault(t, map[string]reply{
		"GET sys/auth": ok(fields{
			"m/": fields{"type": "vault-plugin-auth-kubernetes"},
			"n/": fields{"type": "vault-plugin-auth-kubernetes"},
		}),
		"GET auth/n/check":     ok(fields{"status": "fail", "configuration": "fail: of the other mount"}),
		"LIST auth/n/role":     ok(fields{"keys": []string{"one", "two", "three", "four"}}),
		"GET auth/n/role/one":  ok(fields{"bound_service_account_names": []string{"first-account"}}),
		"POST auth/n/explain":  ok(fields{"verdict": "denied", "failed_step": "namespace", "step_01_namespace": "denied: elsewhere"}),
		"GET auth/n/role/four": refused(500),
	})
	p := open(t, vault.URL)
	p.tabTo("#vault-token")
	p.typeText("hvs.example")
	p.press(kb.Enter)
	p.await("#check-result", "complete")
	p.awaitTrue(`document.activeElement.id === "mount"`)
	p.press("n")
	p.await("#check-result", "of the other mount")

	p.tabTo("#jwt")
	p.typeText("a.b.c")
	p.tabTo("#role")
	p.typeText("one")
	p.press(kb.Enter)
	p.await("#explanation", "elsewhere")
	p.awaitTrue(`document.activeElement.id === "explanation"`)
	if body := vault.lastBody(); body != `{"jwt":"a.b.c","role":"one"}` {
		t.Errorf("sent %s", body)
	}
	p.tabTo("#explanation button")
	p.press(kb.Enter)
	p.awaitTrue(`document.activeElement.id === "jwt" && document.activeElement.value === ""`)

	p.tabTo("#roles-list summary")
	p.press(kb.Enter)
	p.await("#roles-list", "first-account")
	p.tabTo("#roles-list details:nth-of-type(4) summary")
	p.press(" ")
	p.await("#roles-list", "Vault answered 500")
}
