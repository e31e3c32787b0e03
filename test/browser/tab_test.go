package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"vault-plugin-auth-kubernetes/test/testbed/webpage"
)

// patience is how long a test waits for what the page is about to show.
const patience = 30 * time.Second

// tab is a tab of a browser profile of its own, and what was seen of it.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string // of the page

	// closePage stops serving the page; calling it again does nothing.
	closePage func()

	mu         sync.Mutex
	requests   []string // URLs
	complaints []string // of the console, except that an answer was an error
}

// open serves the page for a Vault and opens it. At the end of the test the tab has
// asked its own origin only, and its console has remained empty.
func open(t *testing.T, vaultAddr string) *tab {
	t.Helper()
	page, err := webpage.Start(webpage.Options{Dir: filepath.Join(root, "web"), VaultAddr: vaultAddr})
	if err != nil {
		t.Fatal(err)
	}
	closePage := sync.OnceFunc(func() {
		if err := page.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closePage)
	p := &tab{t: t, url: page.URL, closePage: closePage}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.note))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	p.ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	call(p, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	p.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(page.URL))
	t.Cleanup(p.checkConduct)
	return p
}

// note keeps what the page asks for and what its console says.
func (p *tab) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, event.Request.URL)
	case *network.EventWebSocketCreated:
		p.requests = append(p.requests, event.URL)
	case *runtime.EventConsoleAPICalled:
		p.complaints = append(p.complaints, fmt.Sprint("console.", event.Type))
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, event.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		// Chromium logs each answer of 400 and above.
		if event.Entry.Source != cdplog.EntrySourceNetwork {
			p.complaints = append(p.complaints, event.Entry.Text)
		}
	}
}

func (p *tab) checkConduct() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, asked := range p.requests {
		if !strings.HasPrefix(asked, p.url) {
			p.t.Errorf("the page asked for %s", asked)
		}
	}
	for _, complaint := range p.complaints {
		p.t.Errorf("in the console: %s", complaint)
	}
	if len(p.requests) == 0 {
		p.t.Error("not one request was seen, so nothing can be said of them")
	}
}

// awaitComplaints waits for so many complaints of the console.
func (p *tab) awaitComplaints(count int) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		p.mu.Lock()
		seen := slices.Clone(p.complaints)
		p.mu.Unlock()
		if len(seen) >= count {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("the console has %q, want %d entries", seen, count)
		}
	}
}

// forgetConduct is for tests that make a page misbehave.
func (p *tab) forgetConduct() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complaints = nil
	p.requests = p.requests[:1]
}

// asked tells whether a request contains a text, spelled as it is or escaped.
func (p *tab) asked(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, asked := range p.requests {
		if strings.Contains(asked, text) || strings.Contains(asked, url.PathEscape(text)) {
			return true
		}
	}
	return false
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// call runs a command of the browser's protocol.
func call[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

// value is what an expression comes to in the page.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// script runs statements in the page.
func (p *tab) script(statements string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](statements))
}

// text is what a reader sees of an element, "" if there is none.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return value[string](p, fmt.Sprintf(`document.querySelector(%s)?.innerText ?? ""`, quoted(selector)))
}

// await waits until an element shows all the texts.
func (p *tab) await(selector string, texts ...string) {
	p.t.Helper()
	var shown string
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		shown = p.text(selector)
		missing := ""
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				missing = text
			}
		}
		if missing == "" && shown != "" {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s does not show %q; it shows:\n%s", selector, missing, shown)
		}
	}
}

// awaitTrue waits for an expression to become true.
func (p *tab) awaitTrue(expression string) {
	p.t.Helper()
	for end := time.Now().Add(patience); !value[bool](p, expression); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain for %s", expression)
		}
	}
}

// paste puts text into a field as the clipboard would.
func (p *tab) paste(selector, text string) {
	p.t.Helper()
	p.do(chromedp.Focus(chromedp.CSS(selector)))
	call(p, input.InsertText, input.InsertTextParams{Text: text})
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// choose shows another mount.
func (p *tab) choose(mount string) {
	p.t.Helper()
	p.script(fmt.Sprintf(`{
		const select = document.querySelector("#mount");
		select.value = %s;
		select.dispatchEvent(new Event("change"));
	}`, quoted(mount)))
}

// connect gives the page a Vault token and waits for a mount's check.
func (p *tab) connect(token string) {
	p.t.Helper()
	p.paste("#vault-token", token)
	p.click("#connect button")
	p.awaitTrue(`!document.querySelector("#bed").hidden && !document.querySelector("#check-again").disabled`)
}

// explain pastes a token and waits for the answer.
func (p *tab) explain(jwt, role string) {
	p.t.Helper()
	p.script(`document.querySelector("#role").value = ""; document.querySelector("#explanation").replaceChildren()`)
	p.paste("#jwt", jwt)
	if role != "" {
		p.paste("#role", role)
	}
	p.click("#explain-form button")
	p.awaitTrue(`document.querySelector("#explanation .notice") !== null`)
}

// traces is everything in which the page could leave a text behind, by name.
func (p *tab) traces() map[string]string {
	p.t.Helper()
	return value[map[string]string](p, `({
		markup: document.documentElement.outerHTML,
		fields: [...document.querySelectorAll("input, textarea, select, option")].map((field) => field.value).join("\n"),
		address: location.href + JSON.stringify(history.state) + history.length,
		title: document.title,
		localStorage: JSON.stringify(localStorage),
		sessionStorage: JSON.stringify(sessionStorage),
		cookies: document.cookie,
		globals: Object.getOwnPropertyNames(globalThis).map((name) => { const value = globalThis[name]; return typeof value === "string" ? value : "" }).join("\n"),
	})`)
}

// checkNoTrace fails if a secret is anywhere in the page or was in an address.
func (p *tab) checkNoTrace(what, secret string) {
	p.t.Helper()
	for place, text := range p.traces() {
		if strings.Contains(text, secret) {
			p.t.Errorf("%s is in the page's %s", what, place)
		}
	}
	if p.asked(secret) {
		p.t.Errorf("%s was in an address", what)
	}
}

func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always can be
	}
	return string(encoded)
}
