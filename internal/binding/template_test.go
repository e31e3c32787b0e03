package binding

import (
	"strings"
	"testing"
)

func TestTemplateRenders(t *testing.T) {
	for _, row := range []struct {
		name     string
		bindType BindType
		template string
		want     string
		// reason is a part of why there is no name; empty where there is one.
		reason string
	}{
		{"verbatim", BindService, `web`, "web", ""},
		{"verbatim keeps its case", BindRole, `Web`, "Web", ""},
		{"policies have no case", BindPolicy, `Team-Web`, "team-web", ""},
		{"a dollar alone", BindGroup, `a$b`, "a$b", ""},
		{"two dollars without a template", BindGroup, `a$$b`, "a$$b", ""},
		{"a brace alone", BindGroup, `{a}`, "{a}", ""},

		{"one attribute", BindService, `${serviceaccount.name}`, "web", ""},
		{"several", BindService, `k8s-${serviceaccount.namespace}-${serviceaccount.name}`, "k8s-ci-web", ""},
		{"white space inside", BindService, `${ serviceaccount.name }`, "web", ""},
		{"uid", BindNode, `${serviceaccount.uid}`, "uid-1", ""},
		{"pod", BindService, `${pod.name}`, "runner-7", ""},
		{"node", BindNode, `${node.name}`, "node-1", ""},
		{"cluster", BindPolicy, `${cluster.name}/${serviceaccount.namespace}`, "east/ci", ""},
		{"consul namespace", BindRole, `${consul.namespace}`, "k8s-ci", ""},
		{"label", BindGroup, `${namespace.labels.team}`, "ci", ""},
		{"label by index", BindGroup, `${serviceaccount.labels["app.kubernetes.io/name"]}`, "shop", ""},
		{"annotation", BindGroup, `x${serviceaccount.annotations.path}`, "x/srv/x", ""},
		{"escaped", BindGroup, `$${serviceaccount.name}`, "${serviceaccount.name}", ""},
		{"escaped and not", BindGroup, `$${x} ${serviceaccount.name} $$`, "${x} web $", ""},
		{"text in quotes", BindGroup, `${"a b"}`, "a b", ""},
		{"literals keep their case", BindGroup, `Team ${serviceaccount.name}`, "Team web", ""},

		{"absent pod", BindService, `x-${pod.name}`, "", "pod.name is absent"},
		{"absent label", BindGroup, `${namespace.labels.nothing}`, "", `namespace.labels["nothing"] is absent`},
		{"empty label", BindGroup, `x${serviceaccount.labels.blank}`, "", `serviceaccount.labels["blank"] is empty`},
		{"upper case", BindGroup, `${serviceaccount.annotations.mixed}`, "", `serviceaccount.annotations["mixed"] is "Web", which has upper-case letters`},
		{"upper case that is not ASCII", BindGroup, `${serviceaccount.annotations.accent}`, "", `which has upper-case letters`},
		{"longer than any name", BindGroup, `${serviceaccount.annotations.long}`, "", "is 4000 bytes long, more than any name"},
		{"character that a service cannot have", BindService, `x${serviceaccount.annotations.path}`, "", `'/' is not allowed`},
		{"dot that a service cannot have", BindService, `${serviceaccount.annotations.dotted}`, "", `'.' is not allowed`},
		{"control character in a group", BindGroup, `${serviceaccount.annotations.bell}`, "", `'\a' is not allowed`},
		{"text that is not UTF-8", BindGroup, `${serviceaccount.annotations.binary}`, "", `is not valid UTF-8`},
		{"character that stands for no UTF-8", BindGroup, `${serviceaccount.annotations.replaced}`, "", `is not allowed`},
		{"too long together", BindService, strings.Repeat(`${serviceaccount.annotations.hundred}`, 3), "", "300 bytes long, more than 256"},
		{"root, put together", BindPolicy, `ro${serviceaccount.annotations.ot}`, "", `does not give the policy "root"`},
		{"control-group, put together", BindPolicy, `${serviceaccount.annotations.control}-group`, "", `does not give the policy "control-group"`},
		{"policy with a comma", BindPolicy, `${serviceaccount.annotations.comma}`, "", `',' is not allowed`},
		{"policy that climbs", BindPolicy, `${serviceaccount.annotations.climb}`, "", `".." in its name`},
		{"policy that Vault would trim", BindPolicy, `${serviceaccount.annotations.space}`, "", `Vault would cut off`},
		{"policy that is a folder", BindPolicy, `${serviceaccount.annotations.folder}`, "", `ends with a slash`},
	} {
		t.Run(row.name, func(t *testing.T) {
			template, err := CompileTemplate(row.bindType, row.template)
			if err != nil {
				t.Fatal(err)
			}
			c := runner()
			for key, value := range map[string]string{
				"accent": "É", "long": strings.Repeat("x", 4000), "dotted": "a.b", "bell": "a\a", "binary": "a\xff", "replaced": "a\ufffd", "hundred": strings.Repeat("x", 100),
				"ot": "ot", "control": "control", "comma": "a,b", "climb": "a/../b", "space": "a ", "folder": "a/",
			} {
				c.annotations[key] = value
			}
			if c.pod = ""; !strings.HasPrefix(row.name, "absent") {
				c.pod = "runner-7"
			}
			attrs := c.set(c.attributes(t), allSources)
			name, reason := template.render(&view{Attributes: attrs})
			switch {
			case row.reason == "" && (reason != "" || name != row.want):
				t.Errorf("%s is %q (%s), want %q", row.template, name, reason, row.want)
			case row.reason != "" && !strings.Contains(reason, row.reason):
				t.Errorf("%s is %q, refused with %q, want %q", row.template, name, reason, row.reason)
			}
			if template.String() != row.template {
				t.Errorf("the template prints as %q", template)
			}
		})
	}
}

func TestTemplateRefused(t *testing.T) {
	for _, row := range []struct {
		name     string
		bindType BindType
		template string
		column   int
		reason   string
	}{
		{"empty", BindPolicy, ``, 0, "missing"},
		{"too long", BindPolicy, strings.Repeat("x", maxTemplateBytes+1), 0, "2049 bytes long"},
		{"not UTF-8", BindGroup, "a\xff", 0, "not valid UTF-8"},

		{"unknown attribute", BindService, `web-${serviceaccount.nam}`, 7, `unknown attribute "serviceaccount.nam"; the attributes are audiences`},
		{"unknown attribute, after others", BindGroup, `ä${pod.name}-${foo}`, 16, `unknown attribute "foo"`},
		{"half an attribute", BindService, `${serviceaccount}`, 3, "unknown attribute"},
		{"map", BindGroup, `${namespace.labels}`, 3, `one value of it is namespace.labels["key"]`},
		{"list", BindGroup, `${audiences}`, 3, "is a list"},
		{"element of a list", BindGroup, `${audiences[0]}`, 13, "key in quotes"},
		{"key with dots, unquoted", BindGroup, `${namespace.labels.kubernetes.io}`, 3, `written namespace.labels["kubernetes.io"]`},
		{"key that is computed", BindGroup, `${namespace.labels["${pod.name}"]}`, 19, "key in quotes"},
		{"index of what is no map", BindGroup, `${pod.name["x"]}`, 3, "unknown attribute"},

		{"function", BindGroup, `${upper(pod.name)}`, 3, "functions are not supported"},
		{"sum", BindGroup, `x${1 + 1}`, 4, "nothing can be computed"},
		{"number", BindGroup, `x${5}`, 4, "only attributes can be interpolated"},
		{"truth", BindGroup, `x${true}`, 4, "only attributes can be interpolated"},
		{"conditional", BindGroup, `${true ? pod.name : node.name}`, 3, "nothing can be computed"},
		{"template in a template", BindGroup, `${"${pod.name}"}`, 3, "nothing can be computed"},

		{"not closed", BindGroup, `${pod.name`, 11, `expected "}"`},
		{"empty braces", BindGroup, `a${}`, 4, "expected expression"},
		{"quote not closed", BindGroup, `${"a}`, 4, "expected"},
		{"character that is none of HIL's", BindGroup, `${pod.name@}`, 11, "expected"},

		{"service in upper case", BindService, `Web`, 1, `gives no valid service name: 'W' is not allowed`},
		{"service in upper case around an attribute", BindService, `web-${pod.name}-X`, 17, `'X' is not allowed`},
		{"service with a dot", BindService, `a.b`, 2, `'.' is not allowed`},
		{"service that begins with a dash", BindService, `-${pod.name}`, 1, "begins and ends with"},
		{"service that ends with a dash", BindService, `${pod.name}-`, 12, "begins and ends with"},
		{"service that is too long", BindService, strings.Repeat("x", 256) + `${pod.name}`, 0, "257 bytes long"},
		{"node with a space", BindNode, `a b`, 2, "not allowed"},
		{"role with a slash", BindRole, `a/b`, 2, `'/' is not allowed; the name may have letters, digits, -, _ and dots within`},
		{"role that begins with a dot", BindRole, `.web`, 1, "single dots within"},
		{"role that ends with a dot", BindRole, `web.`, 4, "single dots within"},
		{"role with dots that lead elsewhere", BindRole, `a..b`, 2, "single dots within"},
		{"role that is too long", BindRole, strings.Repeat("x", 257), 0, "257 bytes long"},
		{"role that is not ASCII", BindRole, `é`, 1, "not allowed"},
		{"root", BindPolicy, `root`, 0, `does not give the policy "root"`},
		{"root in upper case", BindPolicy, `ROOT`, 0, `does not give the policy "root"`},
		{"root in quotes", BindPolicy, `${"roo"}t`, 0, `does not give the policy "root"`},
		{"root with white space", BindPolicy, ` root`, 0, "white space at the beginning"},
		{"response-wrapping", BindPolicy, `response-wrapping`, 0, `does not give the policy "response-wrapping"`},
		{"policy with a comma", BindPolicy, `a,root`, 2, `',' is not allowed`},
		{"policy with a control character", BindPolicy, "a\nb", 2, `'\n' is not allowed`},
		{"policy that begins with a slash", BindPolicy, `/a`, 0, "begins or ends with a slash"},
		{"policy that climbs", BindPolicy, `${pod.name}/../root`, 13, `".." in its name`},
		{"policy that is too long", BindPolicy, strings.Repeat("x", 257), 0, "257 bytes long"},
		{"group with a control character", BindGroup, "a\x00", 2, `'\x00' is not allowed; the name may have printable characters`},
		{"group that is too long", BindGroup, strings.Repeat("x", 513), 0, "513 bytes long"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := CompileTemplate(row.bindType, row.template)
			input := inputError(t, err, "bind_name")
			if input.Column != row.column || !strings.Contains(input.Reason, row.reason) {
				t.Errorf("%s: column %d, want %d; %q, want %q in it", row.template, input.Column, row.column, err, row.reason)
			}
		})
	}
}

func TestTemplateErrorOnALaterLine(t *testing.T) {
	_, err := CompileTemplate(BindGroup, "${pod.name}${\n  é.b }")
	if want := "bind_name: line 2, column 3: unknown attribute"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %v, want %q at its beginning", err, want)
	}
}

func TestUnknownBindType(t *testing.T) {
	for _, bindType := range []BindType{"", "Policy", "templated-policy"} {
		_, err := CompileTemplate(bindType, "x")
		if input := inputError(t, err, "bind_type"); !strings.Contains(input.Reason, "policy, role, group, service, node") {
			t.Errorf("%q: the error %q does not list the bind types", bindType, err)
		}
	}
}

// Names at the edge of what Consul and Vault accept.
func TestNamesAccepted(t *testing.T) {
	for _, row := range []struct {
		bindType BindType
		name     string
	}{
		{BindService, "a"}, {BindService, "0"}, {BindService, "a-_b"}, {BindService, strings.Repeat("a", 256)},
		{BindNode, "ip-10-0-0-1"},
		{BindRole, "-"}, {BindRole, "_A-9"}, {BindRole, "team.web"}, {BindRole, strings.Repeat("R", 256)}, {BindRole, "root"},
		{BindPolicy, "default"}, {BindPolicy, "team/web.v1 read"}, {BindPolicy, "rooted"}, {BindPolicy, "un-root"}, {BindPolicy, "ünï"}, {BindPolicy, strings.Repeat("a", 256)},
		{BindGroup, "CN=x, OU=y"}, {BindGroup, "root"}, {BindGroup, strings.Repeat("a", 512)},
	} {
		if _, err := CompileTemplate(row.bindType, row.name); err != nil {
			t.Errorf("the %s name %q is refused: %v", row.bindType, row.name, err)
		}
	}
}
