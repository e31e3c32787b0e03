package e2e

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A parityRow is a list of requests that is made to a fresh mount of the
// built-in and to one of this plugin. The answers have to be equal, one by one.
type parityRow struct {
	name      string
	exchanges []exchange
}

func row(name string, exchanges ...exchange) parityRow {
	return parityRow{name: name, exchanges: exchanges}
}

// exchange is one request to both mounts.
type exchange struct {
	method string
	path   string // below the mount
	body   any    // as for send

	// statusOnly is for answers that hold prose, which is each method's own.
	statusOnly bool

	// differs is the id of a deliberate difference; want is then what this
	// plugin answers, the data as far as it matters.
	differs string
	want    answer
}

func write(path string, body any) exchange {
	return exchange{method: http.MethodPost, path: path, body: body}
}

func read(path string) exchange   { return exchange{method: http.MethodGet, path: path} }
func list(path string) exchange   { return exchange{method: "LIST", path: path} }
func remove(path string) exchange { return exchange{method: http.MethodDelete, path: path} }
func patch(path string, body any) exchange {
	return exchange{method: http.MethodPatch, path: path, body: body}
}

func (e exchange) onlyStatus() exchange {
	e.statusOnly = true
	return e
}

func (e exchange) differing(id string, want answer) exchange {
	e.differs, e.want = id, want
	return e
}

// The answers that rows expect of this plugin where it differs.

func noContent() answer { return answer{Status: http.StatusNoContent} }

func withData(data map[string]any) answer {
	return answer{Status: http.StatusOK, Body: map[string]any{"data": data}}
}

// warning is a 200 with nothing but warnings.
func warning(warnings ...any) answer {
	return answer{Status: http.StatusOK, Body: map[string]any{"warnings": warnings}}
}

func refused(status int, errors ...any) answer {
	return answer{Status: status, Body: map[string]any{"errors": errors}}
}

// wrapped is how Vault words an error that a backend returns with a status code.
func wrapped(text string) string { return "1 error occurred:\n\t* " + text + "\n\n" }

// runParity runs each row as a parallel subtest on mounts of its own.
func runParity(t *testing.T, rows []parityRow) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m := newMounts(t)
			for _, e := range row.exchanges {
				e.run(t, m)
			}
		})
	}
}

func (e exchange) run(t *testing.T, m mounts) {
	t.Helper()
	builtin := m.builtin.send(t, e.method, e.path, e.body)
	ours := m.ours.send(t, e.method, e.path, e.body)
	if strings.Contains(ours.String(), rowReviewer) {
		t.Errorf("%s %s: the reviewer's token is in the answer %v", e.method, e.path, ours)
	}
	a, b := neutral(t, m.builtin, builtin), neutral(t, m.ours, ours)
	if e.statusOnly {
		a, b = answer{Status: a.Status}, answer{Status: b.Status}
	}
	equal := reflect.DeepEqual(a, b)
	switch {
	case e.differs == "" && !equal:
		t.Errorf("%s %s %s\nthe built-in answers %v\nthis plugin answers %v", e.method, e.path, e.shortBody(), a, b)
	case e.differs != "" && equal:
		t.Errorf("%s %s %s\nis listed as the difference %q, but both answer %v", e.method, e.path, e.shortBody(), e.differs, a)
	case e.differs != "":
		checkAnswer(t, e, b)
	}
}

// checkAnswer compares an answer of this plugin with what the row wants of it:
// status and warnings are to be equal, errors to match, and data has at least what
// is named.
func checkAnswer(t *testing.T, e exchange, got answer) {
	t.Helper()
	ok := got.Status == e.want.Status &&
		slices.EqualFunc(got.errors(), e.want.errors(), matches) &&
		slices.EqualFunc(got.warnings(), e.want.warnings(), matches)
	for key, value := range e.want.data() {
		ok = ok && reflect.DeepEqual(asJSON(t, value), asJSON(t, got.data()[key]))
	}
	if !ok {
		t.Errorf("%s %s %s\nthis plugin answers %v\nand should %v", e.method, e.path, e.shortBody(), got, e.want)
	}
}

// matches tells whether a text is like a pattern, in which … stands for what
// libraries say.
func matches(text, pattern string) bool {
	if !strings.Contains(pattern, "…") {
		return text == pattern
	}
	begin, rest, _ := strings.Cut(pattern, "…")
	return strings.HasPrefix(text, begin) && strings.Contains(text[len(begin):], rest)
}

// shortBody is the body for a message or a name.
func (e exchange) shortBody() string {
	if text, ok := e.body.(string); ok {
		return text[:min(len(text), 200)]
	}
	if e.body == nil {
		return ""
	}
	return compact(e.body)
}

// neutral takes out of an answer what is bound to differ between two mounts.
func neutral(t testing.TB, m mount, a answer) answer {
	t.Helper()
	if a.Body == nil {
		return a
	}
	encoded, err := json.Marshal(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	n := answer{Status: a.Status}
	text := strings.ReplaceAll(string(encoded), m.path, "<mount>")
	if err := json.Unmarshal([]byte(text), &n.Body); err != nil {
		t.Fatal(err)
	}
	delete(n.Body, "request_id")
	if n.Body["mount_type"] == m.plugin {
		n.Body["mount_type"] = "<plugin>"
	}
	withoutAddedFields(t, n)
	return n
}

// addedConfigFields and addedRoleFields are what Vault's own method does not have,
// alias_metadata not yet, with how each is read where nobody set it.
var (
	addedConfigFields = map[string]any{
		"request_timeout": 10, "tls_server_name": "", "proxy_url": "", "require_audience": false,
		"renewal_check": "service_account", "service_name_annotation": "", "cluster_name": "", "map_namespaces": false,
		"consul_namespace_prefix": "", "consul_namespace_overrides": map[string]any{}, "token_review_cache_ttl": 0, "max_concurrent_reviews": 256,
		"verification": "review", "verification_accept": []any{}, "live_staleness": 0,
		"jwks_url": "", "oidc_discovery_url": "", "jwks_ca_pem": "",
		"binding_rule_audiences": []any{}, "binding_rule_role": "", "kubernetes_client_cert_set": false,
		"token_reviewer_service_account": "", "token_reviewer_ttl": 0,
		"max_token_lifetime": 0, "require_pod_bound_tokens": false, "refuse_legacy_tokens": false,
		"prefer_login_reviewer_jwt": false,
	}
	addedRoleFields = map[string]any{
		"alias_metadata": map[string]any{}, "bound_audiences": []any{}, "bound_service_accounts": []any{}, "selector": "",
		"only_by_binding_rules": false, "use_binding_rules": false, "max_token_lifetime": 0, "require_pod_bound_tokens": false, "refuse_legacy_tokens": false,
	}
)

// addedSecrets are added fields of config, and of login, that are never read.
var addedSecrets = []string{"kubernetes_client_cert", "kubernetes_client_key", "reviewer_jwt"}

// isAdded tells whether Vault's own method does not have a field of config or role.
func isAdded(field string) bool {
	_, ofConfig := addedConfigFields[field]
	_, ofRole := addedRoleFields[field]
	return ofConfig || ofRole || slices.Contains(addedSecrets, field)
}

// withoutAddedFields takes the added fields out of an answer where nobody set them. That
// they are there, and no others, is TestAddedFieldsAreAlwaysRead's.
func withoutAddedFields(t testing.TB, a answer) {
	t.Helper()
	for _, fields := range []map[string]any{addedConfigFields, addedRoleFields} {
		for field, unset := range fields {
			if value, ok := a.data()[field]; ok && reflect.DeepEqual(asJSON(t, value), asJSON(t, unset)) {
				delete(a.data(), field)
			}
		}
	}
}

// asJSON turns a value into what it is after a way through JSON.
func asJSON(t testing.TB, value any) any {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}
