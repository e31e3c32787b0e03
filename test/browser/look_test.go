package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// looks are the screens and schemes in which the page has to be legible.
var looks = []struct {
	name          string
	width, height int64
	scheme        string
}{
	{"desktop-light", 1280, 900, "light"},
	{"desktop-dark", 1280, 900, "dark"},
	{"phone-light", 390, 844, "light"},
	{"phone-dark", 390, 844, "dark"},
	{"narrow-light", 320, 640, "light"},
}

// checkLooks takes a picture of the page as it is on each screen, and checks what
// can be measured of its legibility.
func (p *tab) checkLooks(name string) {
	p.t.Helper()
	for _, look := range looks {
		p.do(chromedp.EmulateViewport(look.width, look.height))
		p.setScheme(look.scheme)
		for _, flaw := range p.flaws() {
			p.t.Errorf("%s on %s: %s", name, look.name, flaw)
		}
		picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			p.t.Fatal(err)
		}
		p.keep(name+"-"+look.name, picture)
	}
	p.do(chromedp.EmulateViewport(1280, 900))
	p.checkNames()
}

// picture takes what a screen of that size shows, for the documentation.
func (p *tab) picture(name string, width, height int64) {
	p.t.Helper()
	p.setScheme("light")
	p.script(`document.activeElement.blur(); scrollTo(0, 0)`)
	p.do(chromedp.EmulateViewport(width, height))
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	p.keep(name, picture)
}

// keep writes a picture to build/web.
func (p *tab) keep(name string, picture []byte) {
	p.t.Helper()
	folder := filepath.Join(root, "build", "web")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) setScheme(scheme string) {
	p.t.Helper()
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// flaws are texts with less contrast than WCAG asks for at level AA, controls too
// small to be touched, headings out of order, and what is wider than the screen.
func (p *tab) flaws() []string {
	p.t.Helper()
	return value[[]string](p, `(() => {
		const flaws = [];
		const numbers = (color) => color.match(/[\d.]+/g).map(Number);
		const luminance = (rgb) => {
			const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
			return 0.2126 * r + 0.7152 * g + 0.0722 * b;
		};
		const background = (element) => {
			for (; element; element = element.parentElement) {
				const color = numbers(getComputedStyle(element).backgroundColor);
				if (color.length < 4 || color[3] === 1) return color.slice(0, 3);
				if (color[3] !== 0) flaws.push("a background that is half transparent cannot be judged");
			}
			return [255, 255, 255];
		};
		let judged = 0;
		for (const element of document.body.querySelectorAll("*")) {
			if (!element.checkVisibility() || element.disabled || element.closest("noscript")) continue;
			const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
			const box = element.getBoundingClientRect();
			if (box.width && (box.right > innerWidth + 1 || box.left < -1)) {
				flaws.push(element.tagName + "." + element.className + " is wider than the screen: " + text.slice(0, 40));
			}
			if (element.matches("button, input, select, textarea, summary") && box.height < 24) {
				flaws.push(element.tagName + " is only " + box.height + " pixels high: " + text);
			}
			if (!text) continue;
			judged++;
			const [a, b] = [luminance(numbers(getComputedStyle(element).color).slice(0, 3)), luminance(background(element))].sort((x, y) => y - x);
			const ratio = (a + 0.05) / (b + 0.05);
			if (ratio < 4.5) flaws.push("contrast of only " + ratio.toFixed(2) + ": " + text.slice(0, 40));
		}
		if (judged < 5) flaws.push("only " + judged + " texts were found to judge");
		if (document.scrollingElement.scrollWidth > innerWidth) flaws.push("the page scrolls sideways");
		let level = 0;
		for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
			if (!heading.checkVisibility()) continue;
			const next = Number(heading.tagName[1]);
			if (next > level + 1) flaws.push("a heading skips a level: " + heading.textContent);
			level = next;
		}
		return [...new Set(flaws)];
	})()`)
}

// checkNames fails if something that can be operated has no name for those who
// cannot see it.
func (p *tab) checkNames() {
	p.t.Helper()
	named := map[string]int{}
	for _, node := range call(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role := fmt.Sprint(node.Role.Value)
		switch role {
		case `"textbox"`, `"button"`, `"combobox"`, `"region"`, `"DisclosureTriangle"`, `"heading"`:
			if node.Name == nil || fmt.Sprint(node.Name.Value) == `""` {
				p.t.Errorf("a %s has no name", role)
			}
			named[role]++
		}
	}
	if named[`"textbox"`] == 0 || named[`"button"`] == 0 || named[`"heading"`] == 0 {
		p.t.Errorf("the tree for assistive tools is not as expected: %v", named)
	}
}

// TestTellsWhatIsWrong shows that the checks of this file and of the console see what
// they are for.
func TestTellsWhatIsWrong(t *testing.T) {
	p := open(t, newFakeVault(t, nil).URL)
	p.script(`
		document.querySelector("#entry h2").style.color = "#aaa";
		document.querySelector("#entry p").style.width = "3000px";
		const small = document.createElement("button");
		small.style = "min-height:0;height:9px;padding:0";
		document.querySelector("#entry").append(small, document.createElement("h4"));
		document.querySelector("h4").textContent = "deep";
	`)
	flaws := fmt.Sprint(p.flaws())
	for _, want := range []string{"contrast of only", "wider than the screen", "scrolls sideways", "pixels high", "skips a level"} {
		if !strings.Contains(flaws, want) {
			t.Errorf("not seen: %s\n%s", want, flaws)
		}
	}
	p.script(`
		console.error("seen");
		setTimeout(() => { throw new Error("seen too") });
		const image = new Image();
		image.src = "http://127.0.0.1:9/elsewhere";
	`)
	p.awaitComplaints(3) // the console, the exception, the policy that forbids the image
	if title := value[string](p, `(() => { try { document.body.innerHTML = "<b>x</b>" } catch (e) { return e.name } return "no error" })()`); title != "TypeError" {
		t.Errorf("setting markup: %s, want it forbidden", title)
	}
	p.forgetConduct()

	p.paste("#vault-token", "typed")
	p.undo("#vault-token")
	if left := value[string](p, `document.querySelector("#vault-token").value`); left != "" {
		t.Errorf("undoing left %q, so it is not what it is taken for", left)
	}
}
