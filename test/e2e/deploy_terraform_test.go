package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// providerArguments are arguments that the resources of the hashicorp/vault provider
// have, as of its version 5, and how the provider writes each of the resources.
var providerArguments = map[string]struct {
	arguments []string
	// unset is what the provider writes for arguments that are not given.
	unset fields
	path  func(arguments fields) string
	// away are arguments that are for the provider, or in the path.
	away []string
}{
	"vault_plugin": {
		arguments: []string{"type", "name", "version", "sha256", "command", "args", "env"},
		path:      func(a fields) string { return "sys/plugins/catalog/" + a["type"].(string) + "/" + a["name"].(string) },
		away:      []string{"type", "name"},
	},
	"vault_auth_backend": {
		arguments: []string{"type", "path", "description", "local", "tune"},
		path:      func(a fields) string { return "sys/auth/" + a["path"].(string) },
		away:      []string{"path"},
	},
	"vault_kubernetes_auth_backend_config": {
		arguments: []string{"backend", "kubernetes_host", "kubernetes_ca_cert", "token_reviewer_jwt", "pem_keys", "issuer",
			"disable_iss_validation", "disable_local_ca_jwt", "use_annotations_as_alias_metadata"},
		unset: fields{"disable_iss_validation": false, "use_annotations_as_alias_metadata": false},
		path:  func(a fields) string { return "auth/" + a["backend"].(string) + "/config" },
		away:  []string{"backend"},
	},
	"vault_kubernetes_auth_backend_role": {
		arguments: []string{"backend", "role_name", "bound_service_account_names", "bound_service_account_namespaces", "audience",
			"alias_name_source", "token_policies", "token_ttl", "token_max_ttl", "token_period", "token_num_uses",
			"token_bound_cidrs", "token_explicit_max_ttl", "token_no_default_policy", "token_type"},
		path: func(a fields) string { return "auth/" + a["backend"].(string) + "/role/" + a["role_name"].(string) },
		away: []string{"backend", "role_name"},
	},
	"vault_generic_endpoint": {
		arguments: []string{"path", "data_json", "ignore_absent_fields", "disable_delete", "disable_read", "write_fields"},
		path:      func(a fields) string { return a["path"].(string) },
	},
}

// TestTerraform writes to Vault what the provider would for deploy/terraform, and logs
// in. Terraform itself and the provider are not run: what counts here is that the
// arguments exist, that Vault and the plugin take them, and that logins then work.
func TestTerraform(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	server := newServer(t) // it registers the plugin
	resources := readTerraform(t, map[string]string{
		"plugin_version": bed.PluginVersion, "plugin_command": testbed.PluginName, "plugin_sha256": bed.PluginSHA256,
		"kubernetes_host": c.Host, "kubernetes_ca_cert": c.CAPEM, "token_reviewer_jwt": c.reviewer,
	})
	if len(resources) < 6 {
		t.Fatalf("only %d resources were read", len(resources))
	}
	for _, r := range resources {
		got := server.must(t, http.MethodPost, r.path, r.body)
		for _, warning := range got.warnings() {
			if strings.Contains(warning, "ignored") || strings.Contains(warning, "unrecognized") {
				t.Errorf("%s: %s", r.address, warning)
			}
		}
	}
	m := mount{server: server, path: "clusters/terraform", plugin: testbed.PluginName}
	web := c.newShop(t, "shop-terraform", map[string]string{"env": "prod"})
	for name, row := range map[string]struct {
		login  fields
		jwt    string
		policy string
	}{
		"by the role": {fields{"role": "web"}, c.newToken(t, web, audience), "web"},
		// The provider knows no binding_rule_audiences: it is the API server's own.
		"by the rule": {fields{}, c.newToken(t, web), "ns-shop-terraform"},
	} {
		got := m.login(t, with(row.login, fields{"jwt": row.jwt}))
		if got.Status != http.StatusOK || !slices.Contains(stringsOf(got.auth()["policies"]), row.policy) {
			t.Errorf("%s: %v, want the policy %s", name, got, row.policy)
		}
	}
	other := c.newShop(t, "shop-terraform-test", nil)
	if got := m.login(t, fields{"role": "web", "jwt": c.newToken(t, other, audience)}); got.Status != http.StatusForbidden {
		t.Errorf("from a namespace that the selector does not match: %v", got)
	}
}

// newShop makes a namespace, which the role binds by the beginning of its name, and
// the service account web in it.
func (c *cluster) newShop(t *testing.T, name string, labels map[string]string) account {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return c.newAccount(t, name, "web", nil)
}

// terraformResource is a resource as the provider writes it to Vault.
type terraformResource struct {
	kind, address, path string
	body                any
}

// readTerraform evaluates the resources in their order, which has to be one in which
// each refers only to earlier ones.
func readTerraform(t *testing.T, variables map[string]string) []terraformResource {
	t.Helper()
	values := map[string]cty.Value{}
	for name, value := range variables {
		values[name] = cty.StringVal(value)
	}
	known := map[string]map[string]cty.Value{}
	var resources []terraformResource
	for _, block := range terraformBlocks(t) {
		switch block.Type {
		case "variable":
			if _, given := variables[block.Labels[0]]; !given {
				t.Errorf("the variable %s is not one that this test sets", block.Labels[0])
			}
		case "resource":
			kind, name := block.Labels[0], block.Labels[1]
			arguments := evaluate(t, block, values, known)
			if known[kind] == nil {
				known[kind] = map[string]cty.Value{}
			}
			known[kind][name] = cty.ObjectVal(arguments)
			resources = append(resources, asWritten(t, kind, name, arguments))
		case "terraform":
		default:
			t.Errorf("a block of type %s", block.Type)
		}
	}
	return resources
}

func terraformBlocks(t *testing.T) []*hclsyntax.Block {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(deployFolder(t), "terraform", "*.tf"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []*hclsyntax.Block
	for _, path := range files {
		file, problems := hclparse.NewParser().ParseHCLFile(path)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		blocks = append(blocks, file.Body.(*hclsyntax.Body).Blocks...)
	}
	return blocks
}

// evaluate returns the arguments of a resource, without those that are Terraform's.
func evaluate(t *testing.T, block *hclsyntax.Block, variables map[string]cty.Value, known map[string]map[string]cty.Value) map[string]cty.Value {
	t.Helper()
	scope := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(variables)},
		Functions: map[string]function.Function{"jsonencode": stdlib.JSONEncodeFunc},
	}
	for kind, named := range known {
		scope.Variables[kind] = cty.ObjectVal(named)
	}
	arguments := map[string]cty.Value{}
	for name, attribute := range block.Body.Attributes {
		value, problems := attribute.Expr.Value(scope)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		if name == "depends_on" {
			continue // a mistaken reference is a problem
		}
		if !slices.Contains(providerArguments[block.Labels[0]].arguments, name) {
			t.Errorf("%s has no argument %s", block.Labels[0], name)
		}
		arguments[name] = value
	}
	return arguments
}

func asWritten(t *testing.T, kind, name string, arguments map[string]cty.Value) terraformResource {
	t.Helper()
	provider, ok := providerArguments[kind]
	if !ok {
		t.Fatalf("the provider's resource %s is not one that this test knows", kind)
	}
	encoded, err := ctyjson.SimpleJSONValue{Value: cty.ObjectVal(arguments)}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var given fields
	if err := json.Unmarshal(encoded, &given); err != nil {
		t.Fatal(err)
	}
	r := terraformResource{kind: kind, address: kind + "." + name, path: provider.path(given)}
	if data, ok := given["data_json"].(string); ok {
		r.body = data
		return r
	}
	body := fields{}
	maps.Copy(body, provider.unset)
	maps.Copy(body, given)
	for _, name := range provider.away {
		delete(body, name)
	}
	r.body = body
	return r
}

func TestTerraformIsFormatted(t *testing.T) {
	t.Parallel()
	for path, text := range contents(t, filepath.Join(deployFolder(t), "terraform", "*.tf")) {
		if formatted := hclwrite.Format([]byte(text)); string(formatted) != text {
			t.Errorf("%s is not formatted; terraform fmt would make it\n%s", filepath.Base(path), formatted)
		}
	}
}
