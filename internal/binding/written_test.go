package binding

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// What was meant as a template, or as a pattern, is no name, and the message has the
// right form of it.
func TestNamesThatWereMeantOtherwise(t *testing.T) {
	for _, row := range []struct {
		bindType BindType
		name     string
		column   int
		write    string
	}{
		{BindPolicy, `ns-{{serviceaccount.namespace}}`, 4, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `{{ .serviceaccount.name }}`, 1, `${serviceaccount.name}`},
		{BindPolicy, `ns-$serviceaccount.namespace`, 4, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `ns-$serviceaccount.namespace-$serviceaccount.name`, 4, `ns-${serviceaccount.namespace}-${serviceaccount.name}`},
		{BindPolicy, `$(serviceaccount.name)`, 1, `${serviceaccount.name}`},
		{BindPolicy, `%{serviceaccount.name}`, 1, `${serviceaccount.name}`},
		{BindPolicy, `#{serviceaccount.name}`, 1, `${serviceaccount.name}`},
		{BindPolicy, `%(name)s`, 1, `${serviceaccount.name}`},
		{BindPolicy, `[[serviceaccount.name]]`, 1, `${serviceaccount.name}`},
		{BindPolicy, `%serviceaccount.name%`, 1, `${serviceaccount.name}`},
		{BindPolicy, `{serviceaccount.name}-ro`, 1, `${serviceaccount.name}-ro`},
		{BindPolicy, `<namespace>`, 1, `${serviceaccount.namespace}`},
		{BindPolicy, `ns-${serviceaccount.namespace`, 30, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `ns-${serviceaccount.namespace)`, 30, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `ns-${serviceaccount.namespace}}`, 4, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `ns-$ {serviceaccount.namespace}`, 4, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `ns-$${serviceaccount.namespace}`, 4, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `${{ serviceaccount.namespace }}`, 3, `${serviceaccount.namespace}`},
		{BindPolicy, `ns-${serviceaccount.namespaces}`, 6, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `ns-${serviceAccount.Namespace}`, 6, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `ns-${namespace}`, 6, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `${service_account_name}`, 3, `${serviceaccount.name}`},
		{BindPolicy, `team-${namespace.labels['team']}`, 25, `team-${namespace.labels["team"]}`},
		{BindPolicy, `team-${namespace.labels.example.com/team}`, 8, `team-${namespace.labels["example.com/team"]}`},
		{BindPolicy, `{{identity.entity.aliases.auth_kubernetes_1.metadata.service_account_namespace}}`, 1, `${serviceaccount.namespace}`},
		{BindPolicy, `ns-serviceaccount.namespace`, 4, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `pod.name`, 1, `${pod.name}`},
		{BindPolicy, `ns-.namespace`, 4, `ns-${serviceaccount.namespace}`},
		{BindPolicy, `.namespace-.name`, 1, `${serviceaccount.namespace}-${serviceaccount.name}`},
		{BindPolicy, `'ns-web'`, 1, `ns-web`},
		{BindPolicy, ` ns`, 0, `ns`},
		{BindPolicy, "ns\n", 3, `ns`},

		{BindPolicy, `team-*`, 6, `${"team-*"}`},
		{BindPolicy, `team-+`, 6, `${"team-+"}`},
		{BindPolicy, `team/+/ro`, 6, `${"team/+/ro"}`},
		{BindPolicy, `team-?`, 6, `${"team-?"}`},
		{BindPolicy, `team-[a-z]`, 6, `${"team-[a-z]"}`},
		{BindPolicy, `^admin`, 1, `${"^admin"}`},
		{BindPolicy, `ns-`, 3, `${"ns-"}`},
		{BindPolicy, `-ro`, 1, `${"-ro"}`},
		{BindPolicy, `${serviceaccount.namespace}-`, 28, `${serviceaccount.namespace}${"-"}`},
		{BindPolicy, `${serviceaccount.name}*`, 23, `${serviceaccount.name}${"*"}`},
		{BindPolicy, `{{team}}`, 1, `${"{{team}}"}`},
		{BindPolicy, `$TEAM-ro`, 1, `${"$TEAM-ro"}`},
		{BindPolicy, `ns-$`, 4, `${"ns-$"}`},

		{BindRole, `ns-{{serviceaccount.namespace}}`, 4, `ns-${serviceaccount.namespace}`},
		{BindRole, `ns-.namespace`, 4, `ns-${serviceaccount.namespace}`},
		{BindService, `$serviceaccount.name`, 1, `${serviceaccount.name}`},
		{BindNode, `serviceaccount.name`, 15, `${serviceaccount.name}`},
		{BindGroup, `ns-{{serviceaccount.namespace}}`, 4, `ns-${serviceaccount.namespace}`},
		{BindGroup, `CN=$serviceaccount.name,OU=x`, 4, `CN=${serviceaccount.name},OU=x`},
		{BindGroup, `ns-.namespace`, 4, `ns-${serviceaccount.namespace}`},
		{BindGroup, ` team`, 1, `team`},
	} {
		_, err := CompileWrittenTemplate(row.bindType, row.name)
		input := inputError(t, err, "bind_name")
		if input.Column != row.column {
			t.Errorf("%s %s: %v, want column %d", row.bindType, row.name, err, row.column)
		}
		form := rightForm(err)
		if form != row.write {
			t.Errorf("%s %s: the message says to write %q, want %q: %v", row.bindType, row.name, form, row.write, err)
			continue
		}
		if form == "" {
			continue
		}
		if _, err := CompileWrittenTemplate(row.bindType, form); err != nil {
			t.Errorf("%s %s: what the message says to write is refused: %v", row.bindType, row.name, err)
		}
	}
}

// A name that is one stays one, and every text can be a name if it is said to be meant.
func TestNamesThatAreMeant(t *testing.T) {
	for _, row := range []struct {
		bindType BindType
		name     string
		// want is the name for the runner of the other tests.
		want string
	}{
		{BindPolicy, `web`, `web`}, {BindPolicy, `c++`, `c++`}, {BindPolicy, `team/web.v1 read`, `team/web.v1 read`}, {BindPolicy, `a--b`, `a--b`},
		{BindPolicy, `o'brien`, `o'brien`}, {BindPolicy, `web.name-ro`, `web.name-ro`}, {BindPolicy, `namespace`, `namespace`}, {BindPolicy, `audiences`, `audiences`},
		{BindPolicy, `${serviceaccount.namespace}.x`, `ci.x`}, {BindPolicy, `${ serviceaccount.name }@${cluster.name}`, `web@east`}, {BindPolicy, `c++-${serviceaccount.name}`, `c++-web`},
		{BindPolicy, `${"team-*"}`, `team-*`}, {BindPolicy, `${"ns-"}`, `ns-`}, {BindPolicy, `${"{{x}}"}-${pod.name}`, `{{x}}-runner-7`},
		{BindRole, `_A-9`, `_A-9`}, {BindRole, `ns-`, `ns-`}, {BindService, `${serviceaccount.name}-x`, `web-x`},
		{BindGroup, `CN=a*,OU="b c"`, `CN=a*,OU="b c"`}, {BindGroup, `{3f2504e0-4f89-11d3-9a0c-0305e82c3301}`, `{3f2504e0-4f89-11d3-9a0c-0305e82c3301}`},
		{BindGroup, `admins@pod.name`, `admins@pod.name`}, {BindGroup, `{{team}}`, `{{team}}`}, {BindGroup, `team-*`, `team-*`}, {BindGroup, `ns-`, `ns-`}, {BindGroup, `a$b`, `a$b`},
		{BindGroup, `{${serviceaccount.uid}}`, `{uid-1}`},
	} {
		template, err := CompileWrittenTemplate(row.bindType, row.name)
		if err != nil {
			t.Errorf("the %s name %s is refused: %v", row.bindType, row.name, err)
			continue
		}
		c := runner()
		if got, reason := template.render(&view{Attributes: c.set(c.attributes(t), allSources)}); got != row.want {
			t.Errorf("the %s name %s is %q (%s), want %q", row.bindType, row.name, got, reason, row.want)
		}
	}
}

// Templates in the language of every other program: none is stored as it stands, and all
// of the attributes are found.
func TestTemplatesOfOtherPrograms(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	around := []string{"{{@}}", "{{ @ }}", "{{ .@ }}", "{{- @ -}}", "{{.Values.@}}", "${{ @ }}", "$@", "$$@", "$(@)", "$${@}", "${.@}", "%{@}", "#{@}", "@{@}", "{@}", "<@>", "<<@>>", "[[@]]", "%(@)s", "$ {@}", "${@", "$(@", "{{@", "${{@}", "{{ @ | lower }}"}
	names := []string{"serviceaccount.name", "serviceaccount.namespace", "pod.name", "node.name", "serviceaccount.uid", "cluster.name", "consul.namespace"}
	for _, form := range around {
		for _, bindType := range BindTypes {
			first, second := names[random.IntN(len(names))], names[random.IntN(len(names))]
			filled := func(name string) string {
				if form == "@{@}" {
					return "@{" + name + "}"
				}
				return strings.ReplaceAll(form, "@", name)
			}
			text := "x-" + filled(first) + "-y-" + filled(second)
			want := "x-${" + first + "}-y-${" + second + "}"
			_, err := CompileWrittenTemplate(bindType, text)
			if err == nil || rightForm(err) != want {
				t.Errorf("%s %s: %v, want it to say %s", bindType, text, err, want)
			}
		}
	}
}

func TestSelectorsThatWereMeantOtherwise(t *testing.T) {
	for _, row := range []struct {
		selector string
		column   int
		write    string
	}{
		{`serviceaccount.name == "web-*"`, 24, `serviceaccount.name matches "^web-.*$"`},
		{`serviceaccount.namespace != "kube-*"`, 29, `serviceaccount.namespace not matches "^kube-.*$"`},
		{`serviceaccount.labels.team == "web?"`, 31, `serviceaccount.labels["team"] matches "^web.$"`},
		{`"web-*" in pod.name`, 1, `pod.name matches "^web-.*$"`},
		{`pod.name matches "web-*"`, 18, `pod.name matches "^web-.*$"`},
		{`pod.name matches "^web-*"`, 18, `pod.name matches "^web-.*$"`},
		{`serviceaccount.namespace matches "^shop-*$"`, 34, `serviceaccount.namespace matches "^shop-.*$"`},
		{`pod.name matches "^web\b"`, 18, `pod.name matches "^web\\b"`},
		{`serviceaccount.name == "'x'"`, 24, `serviceaccount.name == "x"`},
		{`serviceaccount.namespace == " x"`, 29, `serviceaccount.namespace == "x"`},
		{`pod.name == nil`, 13, `pod.name is empty`},
		{`pod.name != null`, 13, `pod.name is not empty`},
		{`serviceaccount.name == "{{serviceaccount.namespace}}"`, 24, ``},
		{`serviceaccount.name == "$serviceaccount.namespace"`, 24, ``},
		{`serviceaccount.annotations.x == "${serviceaccount.namespace}"`, 33, ``},
		{`pod.name matches "^${serviceaccount.namespace}-"`, 18, ``},
		{`pod.name == "${TEAM}"`, 13, ``},
		{`"team-*" in namespace.labels`, 1, ``},
	} {
		_, err := CompileWrittenSelector(row.selector)
		if input := inputError(t, err, "selector"); input.Column != row.column {
			t.Errorf("%s: %v, want column %d", row.selector, err, row.column)
		}
		if form := rightForm(err); form != row.write {
			t.Errorf("%s: the message says to write %q, want %q", row.selector, form, row.write)
		}
		if _, err := CompileSelector(row.selector); err != nil {
			t.Errorf("%s: one that is stored does not go on: %v", row.selector, err)
		}
	}
	for _, selector := range []string{
		`serviceaccount.annotations.x == "a*"`, `"https://*.example" in audiences`, `cluster.name == "a {b}"`, `pod.name matches "^[a-z]*$"`, `pod.name matches "^a{2}$"`,
		`pod.name matches "^(runner|web)-.*"`, `serviceaccount.labels.x == "nil"`, `" x" in serviceaccount.name`, `serviceaccount.labels.x == true`, `pod.name matches "a.*"`, `*`, ``,
	} {
		if _, err := CompileWrittenSelector(selector); err != nil {
			t.Errorf("%s is refused: %v", selector, err)
		}
	}
}

// What is stored goes on, and is judged anew only where it is written.
func TestOnlyWhatIsWrittenIsJudged(t *testing.T) {
	rule := Rule{Name: "x", Selector: `pod.name == "web-*"`, BindType: BindPolicy, BindName: "team-*"}
	if _, err := Compile(rule); err != nil {
		t.Errorf("a stored rule: %v", err)
	}
	for _, row := range []struct {
		selector, bindName bool
		field              string
	}{{true, false, "selector"}, {false, true, "bind_name"}} {
		if err := CheckWritten(rule, row.selector, row.bindName); inputError(t, err, row.field).Write == "" {
			t.Errorf("%v does not say what to write", err)
		}
	}
	if err := CheckWritten(rule, false, false); err != nil {
		t.Errorf("a rule of which another field is written: %v", err)
	}
}
