package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/consul"
	"vault-plugin-auth-kubernetes/internal/importer"
	"vault-plugin-auth-kubernetes/internal/metadata"
)

// consulMethod is an auth method of Consul's for the fake API server.
func (m *mount) consulMethod() string {
	return fmt.Sprintf(`{"Name":"k8s","Type":"kubernetes","MaxTokenTTL":"1h","Config":{"Host":%q,"CACert":%q,"ServiceAccountJWT":%q}}`,
		m.api.URL, m.api.CAPEM, m.api.Reviewer)
}

func consulRule(id, selector, bindType, bindName string) string {
	return fmt.Sprintf(`{"ID":%q,"AuthMethod":"k8s","Selector":%q,"BindType":%q,"BindName":%q}`, id, selector, bindType, bindName)
}

func (m *mount) importConsul(dryRun bool, rules ...string) outcome {
	m.t.Helper()
	return m.importWith(fields{"dry_run": dryRun}, rules...)
}

// importWith is an import with options.
func (m *mount) importWith(options fields, rules ...string) outcome {
	m.t.Helper()
	return m.do(logical.UpdateOperation, "import/consul", merge(fields{
		"tokens": "vault", "auth_method": m.consulMethod(), "binding_rules": "[" + strings.Join(rules, ",") + "]",
	}, options))
}

func TestImportFromConsul(t *testing.T) {
	m := newMount(t)
	rules := []string{
		consulRule("A1", "serviceaccount.namespace==apps", "service", "${serviceaccount.name}"),
		consulRule("a2", "", "policy", "base"),
		consulRule("a5", "", "role", "missing"),
	}

	planned := m.importConsul(true, rules...)
	if planned.status != http.StatusOK || m.storage.writes.Load() != 0 {
		t.Fatalf("dry run: %d %s, %d writes", planned.status, planned.message, m.storage.writes.Load())
	}
	done := m.importConsul(false, rules...)
	if done.status != http.StatusOK {
		t.Fatalf("%d %s", done.status, done.message)
	}
	for _, key := range []string{"rules", "not_carried_over", "missing_in_consul"} {
		if fmt.Sprint(planned.data[key], linesOf(planned.data, key)) != fmt.Sprint(done.data[key], linesOf(done.data, key)) {
			t.Errorf("%s: planned %v, done %v", key, linesOf(planned.data, key), linesOf(done.data, key))
		}
	}
	wantWarnings(t, done, "2 rules match every service account of the cluster: consul-a2, consul-a5. The first, consul-a2: The rule matches",
		`consul-a2 becomes the policy "base" of Vault`, `consul-a5: There is no role "missing"`)
	if left := fmt.Sprint(linesOf(done.data, "not_carried_over")); !strings.Contains(left, "MaxTokenTTL") {
		t.Errorf("not carried over: %s", left)
	}
	if strings.Contains(fmt.Sprint(done.data), m.api.Reviewer) {
		t.Error("the reviewer's token is in the answer")
	}
	auth := m.mustLoginByRules(m.api.Token("apps", "web"))
	if !slices.Equal(auth.Policies, []string{"base"}) || auth.Alias.Metadata[metadata.ConsulService] != "web" {
		t.Errorf("policies %q, metadata %v", auth.Policies, auth.Alias.Metadata)
	}
	if got := m.read("config")["service_name_annotation"]; got != "consul.hashicorp.com/service-name" {
		t.Errorf("service_name_annotation is %v", got)
	}
	if got := m.read("binding-rule/consul-a1"); got["use_service_name_annotation"] != true || got["imported_from"] != "k8s" {
		t.Errorf("the rule is %v", got)
	}

	again := m.importConsul(false, rules[0], consulRule("a2", "", "policy", "other"), rules[2])
	for _, line := range []string{"consul-a1: unchanged: ", "consul-a2: update: "} {
		if lines := fmt.Sprint(linesOf(again.data, "rules")); !strings.Contains(lines, line) {
			t.Errorf("the second import says %s, want %q", lines, line)
		}
	}
	writes := m.storage.writes.Load()
	if m.importConsul(false, rules[0], consulRule("a2", "", "policy", "other"), rules[2]); m.storage.writes.Load() != writes {
		t.Error("an import that changes nothing writes")
	}
}

func wantWarnings(t *testing.T, got outcome, want ...string) {
	t.Helper()
	if len(got.warnings) != len(want) {
		t.Errorf("warnings %q, want %q", got.warnings, want)
		return
	}
	for i, warning := range got.warnings {
		if !strings.Contains(warning, want[i]) {
			t.Errorf("warning %q, want %q", warning, want[i])
		}
	}
}

// One rule that cannot be taken over, and nothing is, unless that was asked for.
func TestImportIsAllOrNothing(t *testing.T) {
	m := newMount(t)
	var rules []string
	for i := range 200 {
		rules = append(rules, consulRule(fmt.Sprint("r", i), "", "service", fmt.Sprint("s", i)))
	}
	rules = append(rules,
		consulRule("a3", "value.x==1", "service", "unknown-attribute"),
		consulRule("a4", "", "policy", "root"),
		consulRule("../x", "", "policy", "traversal"),
		consulRule("a6", "", "templated-policy", "x"),
		consulRule("r7", "", "service", "twice"),
	)
	reasons := []string{"consul-a3: selector: column 1", "consul-a4: bind_name", `"consul-../x"`, `bind type "templated-policy"`, "twice", "5 rules cannot be taken over"}
	for _, dryRun := range []bool{true, false} {
		got := m.importConsul(dryRun, rules...)
		if got.status != http.StatusBadRequest || m.storage.writes.Load() != 0 {
			t.Errorf("dry run %t: %d %s, %d writes", dryRun, got.status, got.message, m.storage.writes.Load())
		}
		for _, reason := range reasons {
			if !strings.Contains(got.message, reason) {
				t.Errorf("dry run %t: %s, want a line with %q", dryRun, got.message, reason)
			}
		}
	}
	skipped := m.importWith(fields{"skip_unsupported_rules": true}, rules...)
	if skipped.status != http.StatusOK || len(linesOf(skipped.data, "rules")) != 200 {
		t.Fatalf("%d %s, %d rules", skipped.status, skipped.message, len(linesOf(skipped.data, "rules")))
	}
	for _, reason := range reasons[:5] {
		if left := fmt.Sprint(linesOf(skipped.data, "not_carried_over")); !strings.Contains(left, reason) {
			t.Errorf("not carried over: %s, want a line with %q", left, reason)
		}
	}
	later := m.importWith(fields{"skip_unsupported_rules": true}, consulRule("r1", "", "policy", "root"))
	if left := fmt.Sprint(linesOf(later.data, "not_carried_over")); !strings.Contains(left, "consul-r1: there is a binding rule of that name, which stays as it is") {
		t.Errorf("not carried over: %s", left)
	}
}

func TestImportRefusesFieldsThatItDoesNotKnow(t *testing.T) {
	m := newMount(t)
	for _, field := range []string{"dryrun", "dry-run", "DRY_RUN", "remove_mising"} {
		got := m.importWith(fields{field: true}, consulRule("a1", "", "service", "x"))
		if got.status != http.StatusBadRequest || !strings.Contains(got.message, field) || m.storage.writes.Load() != 0 {
			t.Errorf("%s: %d %s, %d writes", field, got.status, got.message, m.storage.writes.Load())
		}
	}
}

// What Consul has no more goes on granting until somebody says otherwise, and is told.
func TestImportOfAListWithLess(t *testing.T) {
	m := newMount(t)
	one, two := consulRule("a1", "", "policy", "one"), consulRule("a2", "", "policy", "two")
	m.importConsul(false, one, two)
	m.rule("own", "", "policy", "own")
	m.rule("consul-own", "", "policy", "named-alike")
	for _, dryRun := range []bool{true, false} {
		less := m.importConsul(dryRun, one)
		wantWarnings(t, less, "consul-a2: an earlier import brought it")
		if !slices.Equal(less.data["missing_in_consul"].([]string), []string{"consul-a2"}) {
			t.Errorf("missing are %v", less.data["missing_in_consul"])
		}
	}
	if policies := m.mustLoginByRules(m.api.Token("apps", "web")).Policies; !slices.Equal(policies, []string{"named-alike", "one", "own", "two"}) {
		t.Errorf("before: %q", policies)
	}
	planned := m.importWith(fields{"remove_missing": true, "dry_run": true}, one)
	if lines := fmt.Sprint(linesOf(planned.data, "rules")); !strings.Contains(lines, "consul-a2: delete: policy two") || m.storage.text(t, "binding-rule/consul-a2") == "" {
		t.Errorf("planned: %s", lines)
	}
	wantWarnings(t, m.importWith(fields{"remove_missing": true}, one))
	if policies := m.mustLoginByRules(m.api.Token("apps", "web")).Policies; !slices.Equal(policies, []string{"named-alike", "one", "own"}) {
		t.Errorf("after: %q", policies)
	}
	other := m.do(logical.UpdateOperation, "import/consul", fields{
		"tokens": "vault", "auth_method": strings.Replace(m.consulMethod(), `"k8s"`, `"other"`, 1), "binding_rules": "[]", "remove_missing": true,
	})
	if other.status != http.StatusOK || m.storage.text(t, "binding-rule/consul-a1") == "" {
		t.Errorf("another method's import: %d %s; it removes what is not its own", other.status, other.message)
	}
}

// Names that mean something in Vault already.
func TestImportOfNames(t *testing.T) {
	m := newMount(t)
	m.write("config", m.config(nil))
	m.write("role/there", m.role(nil))
	m.write("role/lent", fields{"only_by_binding_rules": true, "token_policies": "lent"})
	rules := []string{
		consulRule("a1", "", "policy", "global-management"), consulRule("a2", "", "policy", "Admin"), consulRule("a3", "", "policy", "web"),
		consulRule("a4", "", "policy", "${serviceaccount.name}"),
		consulRule("a5", "", "role", "there"), consulRule("a6", "", "role", "lent"), consulRule("a7", "", "service", "admin"),
	}
	wantWarnings(t, m.importConsul(true, rules...),
		"7 rules match every service account of the cluster: consul-a1, ",
		`2 rules become policies of Vault with names that powerful policies have, and whoever they match gets all that those allow there; look at them before, or give policy_prefix: consul-a1 ("global-management"), consul-a2 ("Admin")`,
		`consul-a3 becomes the policy "web" of Vault, where the name may mean something else`,
		"consul-a4: The rule names no namespace",
		`consul-a4 computes names of policies of Vault`,
		`consul-a5 binds the role "there", which this mount has already`)
	prefixed := m.importWith(fields{"policy_prefix": "consul-", "role_prefix": "c-"}, rules...)
	wantWarnings(t, prefixed, "7 rules match every", "consul-a4: The rule names no namespace",
		`2 rules bind roles that do not exist, and logins skip them until they do; with only_by_binding_rules=true a role needs no bounds of its own, and no login can name it: consul-a5 ("c-there"), consul-a6 ("c-lent")`)
	auth := m.mustLoginByRules(m.token())
	if !slices.Equal(auth.Policies, []string{"consul-admin", "consul-global-management", "consul-web"}) || auth.Metadata[metadata.ConsulService] != "admin" {
		t.Errorf("policies %q, services %q", auth.Policies, auth.Metadata[metadata.ConsulService])
	}
	for _, prefix := range []fields{{"policy_prefix": "a,b"}, {"policy_prefix": "x${"}, {"role_prefix": "a/"}} {
		if got := m.importWith(prefix, rules...); got.status != http.StatusBadRequest {
			t.Errorf("%v: %d", prefix, got.status)
		}
	}
}

// A rule that an import brings is one that somebody wrote, and each kind of warning is one
// line, however many rules it is about.
func TestImportWarnsOfEachKindOnce(t *testing.T) {
	m := newMount(t)
	rules := []string{
		consulRule("b1", "serviceaccount.namespace!=x", "policy", "${serviceaccount.namespace}-${serviceaccount.name}"),
		consulRule("b2", "serviceaccount.name==deployer", "service", "deploy"),
		consulRule("b3", "serviceaccount.namespace==shop", "service", "web"),
		consulRule("b4", "serviceaccount.namespace==shop", "policy", "Sudo"),
		consulRule("b5", "serviceaccount.namespace==shop", "node", "${pod.name}"),
	}
	for i := range 300 {
		rules = append(rules, consulRule(fmt.Sprintf("r%03d", i), "serviceaccount.namespace==shop", "policy", fmt.Sprint("p", i)))
	}
	for i := range 3 {
		rules = append(rules, consulRule(fmt.Sprintf("s%d", i), "", "service", fmt.Sprint("s", i)))
	}
	for _, dryRun := range []bool{true, false} {
		wantWarnings(t, m.importConsul(dryRun, rules...),
			"consul-b1: bind_name gives two service accounts one name",
			"consul-b1 computes names of policies",
			"consul-b2: The rule names no namespace, so whoever may ",
			`consul-b4 becomes the policy "Sudo" of Vault, a name that powerful policies have`,
			"consul-b5: bind_name takes pod.name, which need not be there",
			`300 rules become policies of Vault, where the names may mean something else than in Consul; policy_prefix gives them others: consul-r000 ("p0"), `,
			"3 rules match every service account of the cluster: consul-s0, consul-s1, consul-s2. The first, consul-s0: The rule matches every")
	}
	wantWarnings(t, m.importConsul(false, rules...))
	gone := m.importConsul(true)
	wantWarnings(t, gone, `308 rules came with an earlier import, binding_rules has them no more, and they go on granting; remove_missing=true deletes them: consul-b1 (policy ${serviceaccount.namespace}-${serviceaccount.name}), `)
	if line := gone.warnings[0]; !strings.HasSuffix(line, ", and 288 more") || strings.Contains(line, "consul-r015") || len(line) > 2000 {
		t.Errorf("the line is %q", line)
	}
}

// A variable that was not set is no word for anything, and least for an import in earnest.
func TestImportRefusesWhatIsNamedAndEmpty(t *testing.T) {
	m := newMount(t)
	send := func(options fields) outcome { // null as well, which importWith takes for left out
		data := fields{"tokens": "vault", "auth_method": m.consulMethod(), "binding_rules": "[" + consulRule("a1", "*", "service", "x") + "]"}
		maps.Copy(data, options)
		return m.do(logical.UpdateOperation, "import/consul", data)
	}
	for _, field := range []string{"dry_run", "replace_configuration", "skip_unsupported_rules", "remove_missing", "policy_prefix", "role_prefix"} {
		for _, value := range []any{"", " ", "\t\n", nil} {
			got := send(fields{field: value})
			form := fmt.Sprintf("%[1]s: it is named and empty; write %[1]s=true or %[1]s=false", field)
			if strings.HasSuffix(field, "_prefix") {
				form = field + ": it is named and empty; leave it out"
			}
			if got.status != http.StatusBadRequest || !strings.Contains(got.message, form) || m.storage.writes.Load() != 0 {
				t.Errorf("%s=%q: %d %s, %d writes", field, value, got.status, got.message, m.storage.writes.Load())
			}
		}
	}
	both := send(fields{"dry_run": "", "remove_missing": nil})
	if both.status != http.StatusBadRequest || strings.Count(both.message, "named and empty") != 2 {
		t.Errorf("%d %s", both.status, both.message)
	}
	if m.storage.reads.Load() != 0 {
		t.Errorf("storage was read %d times", m.storage.reads.Load())
	}
	for _, value := range []any{"false", false, 0} {
		if got := send(fields{"dry_run": value}); got.status != http.StatusOK || m.storage.writes.Load() == 0 {
			t.Errorf("dry_run=%v: %d %s", value, got.status, got.message)
		}
	}
}

// What would widen a rule by a slip of the pen is refused, with the rule and the key.
func TestImportRefusesKeysThatConsulDoesNotPrint(t *testing.T) {
	m := newMount(t)
	rule := consulRule("a1", "serviceaccount.namespace==apps", "policy", "p")
	for _, mistyped := range []string{
		strings.Replace(rule, "Selector", "selecter", 1),
		strings.Replace(rule, `{"ID"`, `{"selector":"","ID"`, 1),
		strings.Replace(rule, `"Selector":"serviceaccount.namespace==apps",`, "", 1),
		rule + "]]",
	} {
		got := m.importWith(fields{"skip_unsupported_rules": true}, mistyped)
		if got.status != http.StatusBadRequest || !strings.Contains(got.message, `binding_rules: `) || m.storage.writes.Load() != 0 {
			t.Errorf("%s: %d %s, %d writes", mistyped, got.status, got.message, m.storage.writes.Load())
		}
	}
}

// A mount that is in use for another cluster is not turned to this one in passing.
func TestImportIntoAMountInUse(t *testing.T) {
	rule := consulRule("a1", "", "policy", "p")
	for name, row := range map[string]struct {
		config  fields
		options fields
		refused string
		reviews bool // with the reviewer of the method
	}{
		"no configuration":            {nil, nil, "", true},
		"the same cluster":            {fields{}, nil, "", true},
		"another cluster":             {fields{"kubernetes_host": "https://10.9.8.7:6443"}, nil, "https://10.9.8.7:6443", false},
		"another cluster, by name":    {fields{"kubernetes_host": "https://10.9.8.7:6443"}, fields{"replace_configuration": true}, "", true},
		"another mapping":             {fields{"map_namespaces": true}, nil, "maps namespaces", false},
		"another mapping, by name":    {fields{"map_namespaces": true}, fields{"replace_configuration": true}, "", true},
		"the method has no reviewer":  {fields{}, fields{"auth_method": "bare"}, "", true},
		"the method has no mapping":   {fields{"cluster_name": "east"}, nil, "", true},
		"a rule of the mount's there": {fields{"issuer": "x"}, fields{"binding_rules": "[" + consulRule("own", "", "policy", "p") + "]"}, "consul-own", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			if row.config != nil {
				m.write("config", m.config(row.config))
			}
			m.rule("consul-own", "", "policy", "own")
			before := m.storage.text(t, "config")
			if row.options["auth_method"] == "bare" {
				row.options["auth_method"] = fmt.Sprintf(`{"Name":"k8s","Type":"kubernetes","Config":{"Host":%q}}`, m.api.URL+"/")
			}
			got := m.importWith(row.options, rule)
			if row.refused != "" {
				if got.status != http.StatusBadRequest || !strings.Contains(got.message, row.refused) || m.storage.text(t, "config") != before || m.storage.text(t, "binding-rule/consul-a1") != "" {
					t.Errorf("%d %s; the configuration is %s", got.status, got.message, m.storage.text(t, "config"))
				}
				return
			}
			if got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.message)
			}
			switch name {
			case "another mapping, by name":
			case "no configuration": // tokens are for the API server, as in Consul
				m.mustLoginByRules(m.api.Token("apps", "web"))
			default:
				m.mustLoginByRules(m.token())
			}
		})
	}
}

// Between plan and write the mount may change; then nothing is written.
func TestImportOfWhatChangedMeanwhile(t *testing.T) {
	m := newMount(t)
	imported, err := consul.Read([]byte(m.consulMethod()), []byte("["+consulRule("a1", "", "policy", "p")+"]"), consul.VaultTokens)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := m.importedInto(m.storage).Plan(t.Context(), imported, importer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.write("config", m.config(fields{"cluster_name": "mine"}))
	if err := m.importedInto(m.storage).CarryOut(t.Context(), plan); !errors.As(err, new(importer.Refusal)) {
		t.Errorf("the error is %v", err)
	}
	if m.read("config")["cluster_name"] != "mine" || m.storage.text(t, "binding-rule/consul-a1") != "" {
		t.Error("what was written meanwhile is gone, or half of the import is there")
	}
}

func TestImportRefuses(t *testing.T) {
	m := newMount(t)
	for name, data := range map[string]fields{
		"no method":             {"binding_rules": "[]"},
		"no rules":              {"tokens": "vault", "auth_method": m.consulMethod()},
		"method of jwt":         {"auth_method": `{"Type":"jwt"}`, "binding_rules": "[]"},
		"method without a name": {"auth_method": `{"Type":"kubernetes","Config":{"Host":"h"}}`, "binding_rules": "[]"},
		"no host":               {"auth_method": `{"Name":"k8s","Type":"kubernetes"}`, "binding_rules": "[]"},
		"CA that is none":       {"auth_method": `{"Name":"k8s","Type":"kubernetes","Config":{"Host":"h","CACert":"none"}}`, "binding_rules": "[]"},
	} {
		if got := m.do(logical.UpdateOperation, "import/consul", data); got.status != http.StatusBadRequest || m.storage.writes.Load() != 0 {
			t.Errorf("%s: %d %s, %d writes", name, got.status, got.message, m.storage.writes.Load())
		}
	}
}

// All or nothing: what was written before a failure is put back.
func TestImportPutsBack(t *testing.T) {
	m := newMount(t)
	m.importConsul(false, consulRule("a1", "", "policy", "before"))
	before := m.storage.text(t, "config") + m.storage.text(t, "binding-rule/consul-a1")
	m.storage.failPut("binding-rule/consul-a3")
	failed := m.importConsul(false, consulRule("a1", "", "policy", "after"), consulRule("a2", "", "policy", "new"), consulRule("a3", "", "policy", "new"))
	if !errors.Is(failed.err, errStorage) {
		t.Fatalf("%d %s", failed.status, failed.message)
	}
	m.storage.failPut("")
	if after := m.storage.text(t, "config") + m.storage.text(t, "binding-rule/consul-a1"); after != before {
		t.Errorf("stored %s, before it was %s", after, before)
	}
	if m.storage.text(t, "binding-rule/consul-a2") != "" {
		t.Error("a rule of the import that failed is left")
	}
	if auth := m.mustLoginByRules(m.api.Token("apps", "web")); !slices.Equal(auth.Policies, []string{"before"}) {
		t.Errorf("policies %q", auth.Policies)
	}
}

// Clients that named the auth method in Consul name the role that the import makes.
func TestImportMakesARoleOfTheMethod(t *testing.T) {
	rule := consulRule("r1", "", "policy", "base")
	for name, row := range map[string]struct {
		before fields // the role k8s
		rules  []string
		role   string
		left   string // what is said where none is made
	}{
		"none there":            {nil, []string{rule}, "create k8s", ""},
		"there, and uses rules": {fields{"use_binding_rules": true, "token_ttl": "5m"}, []string{rule}, "unchanged k8s", ""},
		"there, and decides": {fields{"bound_service_account_names": "web", "bound_service_account_namespaces": "apps", "token_policies": "own"},
			[]string{rule}, "", "the mount has a role of that name"},
		"a rule binds it": {nil, []string{rule, consulRule("r2", "", "role", "K8S")}, "", "consul-r2 binds a role of that name"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.do(logical.PatchOperation, "config", fields{"binding_rule_audiences": ""})
			if row.before != nil {
				m.write("role/k8s", row.before)
			}
			before := m.storage.text(t, "role/k8s")
			planned := m.importConsul(true, row.rules...)
			if got := m.storage.text(t, "role/k8s"); got != before {
				t.Errorf("a dry run wrote %s", got)
			}
			done := m.importConsul(false, row.rules...)
			for _, o := range []outcome{planned, done} {
				if o.data["role"] != row.role || !strings.Contains(fmt.Sprint(linesOf(o.data, "not_carried_over")), row.left) {
					t.Errorf("%d %s %v", o.status, o.message, o.data)
				}
			}
			if row.before != nil || row.role == "" {
				if got := m.storage.text(t, "role/k8s"); got != before {
					t.Errorf("it was %s and is %s", before, got)
				}
				return
			}
			auth := m.login("k8s", m.own()).auth
			if auth == nil || !slices.Equal(auth.Policies, []string{"base"}) || auth.MaxTTL != time.Hour {
				t.Errorf("a login that names the method: %+v", auth)
			}
			if again := m.importConsul(false, row.rules...); again.data["role"] != "unchanged k8s" {
				t.Errorf("once more: %v", again.data)
			}
		})
	}
}
