package binding

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fuzzLimit is far beyond what the costliest expression takes on a loaded machine;
// the bounds of selectors and templates exist so that none comes near it.
const fuzzLimit = 5 * time.Second

func within(t *testing.T, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > fuzzLimit {
		t.Errorf("%s took %v", what, took)
	}
}

// checkInputError fails unless err is an *InputError that points into the text.
func checkInputError(t *testing.T, err error, text string, fields ...string) {
	t.Helper()
	var input *InputError
	if !errors.As(err, &input) || !slices.Contains(fields, input.Field) || input.Reason == "" {
		t.Fatalf("%q: the error is %#v", text, err)
	}
	if input.Column == 0 {
		return
	}
	lines := strings.Split(text, "\n")
	if input.Line < 1 || input.Line > len(lines) || input.Column < 1 || input.Column > utf8.RuneCountInString(lines[input.Line-1])+1 {
		t.Errorf("%q: the error %q points outside, at line %d, column %d", text, err, input.Line, input.Column)
	}
}

// What compiles must mean what it means to go-bexpr, and what go-bexpr refuses
// must not compile.
func FuzzSelector(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `*`, `* `, `serviceaccount.name == "web"`, "serviceaccount.namespace != `x` and (pod.name is empty or not \"a\" in audiences)",
		`namespace.labels["kubernetes.io/metadata.name"] matches "^ci-[0-9]{1,3}$"`, `"/serviceaccount/labels/a~1b" == x`,
		`serviceaccount.name == 1.5`, `not not pod.uid != -1`, `"k" not in serviceaccount.annotations`, `audiences contains vault`,
		`serviceaccount.annotations.path == "/srv"`, `any audiences as a { a == "x" }`, `((((((pod.name is not empty))))))`, `pod.name is nil`,
		`not in audiences`, `not == 3`, `a.b.c["d"].0 == e`, "pod.name\n==\tweb", `serviceaccount.name == and or pod.name == not`, `pod.name matches "(a{500}){3}"`,
		`serviceaccount.uid == "\x41\u00e9"`, `consul.namespace not matches "(?i)x"`, `cluster.name=="x"and pod.name==y`, "node.name == \"a\xff\"",
		`pod.name =~ '^a\.b' && !(node.name in ["a", 'b'])`, `{"pod": {"name": ["a"]}}`, `{{pod.name}} <> “x”`, `((pod.name like "a%"`,
	} {
		f.Add(seed)
	}
	c := runner()
	f.Fuzz(func(t *testing.T, text string) {
		var selector *Selector
		var err error
		within(t, "compiling", func() { selector, err = CompileSelector(text) })
		within(t, "compiling as written", func() {
			if _, err := CompileWrittenSelector(text); err != nil {
				checkInputError(t, err, text, "selector")
				if form := rightForm(err); form != "" {
					if _, err := CompileWrittenSelector(form); err != nil {
						t.Errorf("%q: the message says to write %q: %v", text, form, err)
					}
				}
			}
		})
		if err != nil {
			checkInputError(t, err, text, "selector")
			return
		}
		known, unknown := c.set(c.attributes(t), allSources), c.attributes(t)
		var got Verdict
		within(t, "evaluating", func() { got = selector.Evaluate(known) })
		if got.Needs != 0 {
			t.Errorf("%q is %+v although everything is known", text, got)
		}
		if early := selector.Evaluate(unknown); early.Needs == 0 && early != got {
			t.Errorf("%q is %+v, and later %+v", text, early, got)
		}
		if (selector.Mismatch(known) == "") != got.Matched {
			t.Errorf("%q is %+v, explained with %q", text, got, selector.Mismatch(known))
		}
		again, err := CompileSelector(text)
		if err != nil || again.Evaluate(known) != got {
			t.Errorf("%q is %+v the first time, then another or %v", text, got, err)
		}
		if strings.TrimSpace(text) == Everything {
			return // no selector to go-bexpr
		}
		if strings.Contains(text, `"/`) {
			return // go-bexpr drops the slash of such a value
		}
		want, err := c.naiveMatch(text)
		if err != nil && strings.Contains(err.Error(), "max number of expressions") {
			return
		}
		if err != nil || want != got.Matched {
			t.Errorf("%q is %+v, go-bexpr says %v, %v", text, got, want, err)
		}
	})
}

// What is rendered must be what HIL evaluates to, and a name that may be granted.
func FuzzTemplate(f *testing.F) {
	for i, seed := range []string{
		``, `web`, `${serviceaccount.name}`, `k8s-${serviceaccount.namespace}-${serviceaccount.name}`, `$${x}${pod.name}$$`,
		`${namespace.labels.team}`, `${serviceaccount.labels["app.kubernetes.io/name"]}`, `${upper(pod.name)}`, `${1 + 1}`, `${"a\"b"}`,
		`${pod.name`, `${"${pod.name}"}`, `${serviceaccount.labels[pod.name]}`, `${a.*.b}`, `${ü.b}`, "${\n pod.name\n}", `ROOT`, `${"ro"}ot`, `a,b`, `../x`,
		`${serviceaccount.annotations.mixed}`, `${pod.name ? "a" : "b"}`, `${!pod.name}`, `${-1}`, "\x00", "${\xff}",
		`ns-{{serviceaccount.namespace}}`, `$pod.name-$`, `<x>*`, `.name-`, `'${pod.name}}'`,
	} {
		f.Add(uint8(i), seed)
	}
	c := runner()
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		bindType := BindTypes[int(n)%len(BindTypes)]
		var template *Template
		var err error
		within(t, "compiling", func() { template, err = CompileTemplate(bindType, text) })
		within(t, "compiling as written", func() {
			if _, err := CompileWrittenTemplate(bindType, text); err != nil {
				checkInputError(t, err, text, "bind_name")
				if form := rightForm(err); form != "" {
					if _, err := CompileWrittenTemplate(bindType, form); err != nil {
						t.Errorf("%q: the message says to write %q: %v", text, form, err)
					}
				}
			}
		})
		if err != nil {
			checkInputError(t, err, text, "bind_name")
			return
		}
		v := &view{Attributes: c.set(c.attributes(t), allSources)}
		if needs := template.missing(v); needs != 0 {
			t.Fatalf("%q misses %b although everything is known", text, needs)
		}
		name, reason := template.render(v)
		if again, reasonAgain := template.render(v); again != name || reasonAgain != reason {
			t.Errorf("%q is %q (%s), and then %q (%s)", text, name, reason, again, reasonAgain)
		}
		if reason != "" {
			return
		}
		if name == "" || strings.EqualFold(name, "root") && bindType == BindPolicy || checkName(bindType, name) != nil {
			t.Errorf("%q grants the %s %q", text, bindType, name)
		}
		want, err := c.naiveName(text)
		if bindType == BindPolicy {
			want = strings.ToLower(want)
		}
		if err != nil || name != want {
			t.Errorf("%q is %q, HIL says %q, %v", text, name, want, err)
		}
	})
}
