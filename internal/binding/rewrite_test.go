package binding

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// rightForm is what the message of an error says to write, "" if it says nothing.
func rightForm(err error) string {
	_, form, _ := strings.Cut(err.Error(), "; write: ")
	return form
}

// meaning is an expression without the way in which it is written.
func meaning(root node) string {
	operands := func(nodes []node, word string) string {
		parts := make([]string, len(nodes))
		for i, n := range nodes {
			parts[i] = meaning(n)
		}
		return "(" + strings.Join(parts, " "+word+" ") + ")"
	}
	switch n := root.(type) {
	case and:
		return operands(n, "and")
	case or:
		return operands(n, "or")
	case not:
		return "not " + meaning(n.operand)
	case *comparison:
		return fmt.Sprintf("%s %d %v %q", n.ref, n.test, n.negate, n.value)
	}
	return "all"
}

// What is refused is refused where it was, and the message has the right form of it.
func TestRefusedSelectorsShowTheRightForm(t *testing.T) {
	for _, row := range []struct {
		selector string
		column   int
		write    string
	}{
		{`pod.name matches "^runner\."`, 18, `pod.name matches "^runner\\."`},
		{`pod.name matches '^x\d+$'`, 18, `pod.name matches "^x\\d+$"`},
		{`pod.name matches "a\"b\."`, 18, `pod.name matches "a\x22b\\."`},
		{`serviceaccount.name == my-app`, 26, `serviceaccount.name == "my-app"`},
		{`pod.name == 1.2.3`, 16, `pod.name == "1.2.3"`},
		{`serviceaccount.name == 'web'`, 24, `serviceaccount.name == "web"`},
		{`pod.name == “x”`, 13, `pod.name == "x"`},
		{`pod.name == ‘x’`, 13, `pod.name == "x"`},
		{`pod.name == „x“`, 13, `pod.name == "x"`},
		{`serviceaccount.name = "web"`, 21, `serviceaccount.name == "web"`},
		{`serviceaccount.name === "web"`, 23, `serviceaccount.name == "web"`},
		{`pod.name: "x"`, 9, `pod.name == "x"`},
		{`pod.name<>"x"`, 9, `pod.name != "x"`},
		{`pod.name eq "x"`, 10, `pod.name == "x"`},
		{`pod.name is "x"`, 13, `pod.name == "x"`},
		{`pod.name is not "x"`, 17, `pod.name != "x"`},
		{`pod.name is nil`, 13, `pod.name is empty`},
		{`pod.name != ""`, 13, `pod.name is not empty`},
		{`pod.name`, 9, `pod.name is not empty`},
		{`pod.name == "a" && node.name == "b"`, 17, `pod.name == "a" and node.name == "b"`},
		{`pod.name == "a" || node.name == "b"`, 17, `pod.name == "a" or node.name == "b"`},
		{`pod.name == "a" || !(node.name == "b")`, 17, `pod.name == "a" or not (node.name == "b")`},
		{`pod.name == "a", node.name == "b"`, 16, `pod.name == "a" and node.name == "b"`},
		{`pod.name == "a" AND pod.uid == "b" OR node.name == "c"`, 17, `pod.name == "a" and pod.uid == "b" or node.name == "c"`},
		{`NOT pod.name == "x"`, 5, `not pod.name == "x"`},
		{`!pod.name == "x"`, 1, `not pod.name == "x"`},
		{`pod.name == "x"and pod.uid == "y"`, 16, `pod.name == "x" and pod.uid == "y"`},
		{`not(pod.name == "x")`, 4, `not (pod.name == "x")`},
		{`pod.name ~ "^x"`, 10, `pod.name matches "^x"`},
		{`pod.name =~ "^x"`, 10, `pod.name matches "^x"`},
		{`pod.name =~ /^x/`, 10, `pod.name matches "^x"`},
		{`pod.name !~ "^x"`, 10, `pod.name not matches "^x"`},
		{`pod.name like "web-%"`, 10, `pod.name matches "^web-.*$"`},
		{`pod.name not like "web-%"`, 14, `pod.name not matches "^web-.*$"`},
		{`pod.name LIKE "web"`, 10, `pod.name == "web"`},
		{`pod.name startsWith "web."`, 10, `pod.name matches "^web\\."`},
		{`pod.name matches "*-ro"`, 18, `pod.name matches "^.*-ro$"`},
		{`pod.name == web-*`, 16, `pod.name matches "^web-.*$"`},
		{`"x" contains audiences`, 1, `"x" in audiences`},
		{`audiences in "x"`, 14, `"x" in audiences`},
		{`audiences == "x"`, 1, `"x" in audiences`},
		{`"x" == pod.name`, 1, `pod.name == "x"`},
		{`pod.name in "x"`, 13, `pod.name == "x"`},
		{`pod.name in ("a", "b") and node.name == "c"`, 13, `(pod.name == "a" or pod.name == "b") and node.name == "c"`},
		{`pod.name not in ["a","b"]`, 17, `(pod.name != "a" and pod.name != "b")`},
		{`namespace == "x"`, 1, `serviceaccount.namespace == "x"`},
		{`serviceaccount_namespace == "x"`, 1, `serviceaccount.namespace == "x"`},
		{`serviceAccount.Namespace == "x"`, 1, `serviceaccount.namespace == "x"`},
		{`metadata.namespace == "x"`, 1, `serviceaccount.namespace == "x"`},
		{`pod.nam == "x"`, 1, `pod.name == "x"`},
		{`$serviceaccount.name == "x"`, 1, `serviceaccount.name == "x"`},
		{`{{ .serviceaccount.name }} == "x"`, 1, `serviceaccount.name == "x"`},
		{`${serviceaccount.name} == "x"`, 1, `serviceaccount.name == "x"`},
		{`namespace.label.team == x`, 1, `namespace.labels["team"] == "x"`},
		{`namespace.labels.app.kubernetes.io/name == "x"`, 1, `namespace.labels["app.kubernetes.io/name"] == "x"`},
		{`serviceaccount.labels[team] == "x"`, 23, `serviceaccount.labels["team"] == "x"`},
		{`serviceaccount.labels.my-key == "x"`, 25, `serviceaccount.labels["my-key"] == "x"`},
		{`true`, 5, `*`},
		{`(pod.name == "x"`, 1, `(pod.name == "x")`},
		{`pod.name == "x" or pod.name == "y")`, 35, `(pod.name == "x" or pod.name == "y")`},
		{"`pod.name == \"x\"`", 18, `pod.name == "x"`},
		{`'pod.name == "x"'`, 1, `pod.name == "x"`},
		{`"pod.name == 'x'"`, 18, `pod.name == "x"`},
		{`{"serviceaccount.namespace": "x", "pod": {"name": "y"}}`, 1, `pod.name == "y" and serviceaccount.namespace == "x"`},

		// Where the meaning is not plain, none is made up.
		{`(pod.name == "x" or pod.name == "y" and pod.uid == "z"`, 1, ``},
		{`not (pod.name == "x" and pod.uid == "z"`, 5, ``},
		{`not pod.name == "x" or pod.name == "y")`, 39, ``},
		{`pod.name == "x" pod.uid == "y"`, 17, ``},
		{`pod.name == "x" and`, 20, ``},
		{`pod.name == node.name`, 13, ``},
		{`foo == "x"`, 1, ``},
	} {
		_, err := CompileSelector(row.selector)
		if input := inputError(t, err, "selector"); input.Line != 1 || input.Column != row.column {
			t.Errorf("%s: %v, want column %d", row.selector, err, row.column)
		}
		if form := rightForm(err); form != row.write {
			t.Errorf("%s: the message says to write %q, want %q", row.selector, form, row.write)
		} else if _, err := CompileWrittenSelector(form); form != "" && err != nil {
			t.Errorf("%s: what the message says to write is refused: %v", row.selector, err)
		}
	}
}

// slip is a way to write a selector wrong that leaves what was meant plain.
type slip struct{ from, to string }

var slips = []slip{
	{" == ", " = "}, {" == ", " === "}, {" == ", "="}, {" == ", ": "}, {" == ", " eq "}, {" != ", " <> "}, {" != ", " ≠ "}, {" == ", " is "},
	{" and ", " && "}, {" and ", " AND "}, {" and ", "&&"}, {" and ", ", "}, {" or ", " || "}, {" or ", " OR "}, {" or ", " | "}, {"not (", "!("}, {"not (", "NOT("},
	{" matches ", " =~ "}, {" matches ", " ~ "}, {" matches ", " MATCHES "}, {" not matches ", " !~ "}, {`\\`, `\`},
	{" in audiences", " contains audiences"}, {"is empty", "is null"}, {"is empty", "IS EMPTY"},
	{`"`, `'`}, {`"my-app"`, `“my-app”`}, {`"my-app"`, `my-app`}, {`"my-app"`, `»my-app«`},
	{"serviceaccount.namespace", "namespace"}, {"serviceaccount.namespace", "serviceaccount_namespace"}, {"serviceaccount.name ", "ServiceAccount.Name "},
	{"pod.name", "podName"}, {"pod.name", "${pod.name}"}, {`labels["team"]`, `labels[team]`}, {`labels["team"]`, `labels['team']`}, {`labels["app.io/x"]`, `labels.app.io/x`},
}

func generated(random *rand.Rand, depth int) string {
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	if depth == 0 || random.IntN(3) == 0 {
		return pick(`serviceaccount.namespace == "my-app"`, `serviceaccount.name != "my-app"`, `pod.name matches "^my\\.app\\d+$"`, `pod.name not matches "^x"`, `pod.name is empty`,
			`"my-app" in audiences`, `namespace.labels["team"] == "my-app"`, `serviceaccount.labels["app.io/x"] != "a.b"`, `node.name is not empty`, `pod.name == "web"`)
	}
	if random.IntN(4) == 0 {
		return "not (" + generated(random, depth-1) + ")"
	}
	return "(" + generated(random, depth-1) + pick(" and ", " or ") + generated(random, depth-1) + ")"
}

// Good selectors with slips: each is refused or means the same, and what the message
// says to write compiles and means what was meant.
func TestSlipsInSelectors(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 8))
	refused := map[slip]int{}
	for range 2000 {
		good := generated(random, 3)
		want, err := CompileWrittenSelector(good)
		if err != nil {
			t.Fatalf("%s: %v", good, err)
		}
		made := map[slip]bool{}
		wrong := good
		for range 1 + random.IntN(3) {
			s := slips[random.IntN(len(slips))]
			if after := strings.ReplaceAll(wrong, s.from, s.to); after != wrong && !made[s] {
				wrong, made[s] = after, true
			}
		}
		got, err := CompileWrittenSelector(wrong)
		if err != nil {
			form := rightForm(err)
			if got, err = CompileWrittenSelector(form); err != nil || form == "" {
				t.Fatalf("%s\nis refused; what it says to write, %q, is as well: %v", wrong, form, err)
			}
			for s := range made {
				refused[s]++
			}
		}
		if meaning(got.root) != meaning(want.root) {
			t.Fatalf("%s\nof %s\nis said to be %s", wrong, good, got)
		}
	}
	for _, s := range slips {
		if refused[s] == 0 {
			t.Errorf("no selector with %q for %q was refused", s.to, s.from)
		}
	}
}

// Whatever is deleted of a selector or doubled, what a message says to write compiles.
func TestRightFormsCompile(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 3))
	for range 4000 {
		text := []byte(generated(random, 2))
		for range 1 + random.IntN(3) {
			if i := random.IntN(len(text)); random.IntN(2) == 0 {
				text = append(text[:i:i], text[i+1:]...)
			} else {
				text = append(text[:i:i], append([]byte{`()"'!&|=~<>{}[],.*\$`[random.IntN(20)]}, text[i:]...)...)
			}
		}
		_, err := CompileWrittenSelector(string(text))
		if err == nil || rightForm(err) == "" {
			continue
		}
		if _, err := CompileWrittenSelector(rightForm(err)); err != nil {
			t.Errorf("%s: the message says to write %q: %v", text, rightForm(err), err)
		}
	}
}
