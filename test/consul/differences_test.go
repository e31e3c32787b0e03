package consul

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// deliberateDifferences are all that may be, by the id that rows and
// docs/from-consul.md name.
var deliberateDifferences = map[string]string{
	"uppercase-refused":       "A value with upper-case letters in a name: Consul lower-cases it silently, which gives one account the name of another (Consul issue 20373); the plugin refuses the login.",
	"empty-annotation":        "An empty service name annotation: to Consul the name is then empty; to the plugin there is no annotation.",
	"policies-need-not-exist": "Consul skips policies that do not exist, as it does roles; Vault binds a policy by its name, whenever it is written.",
	"policy-names":            "Policy names: Consul's have letters, digits, - and _ and at most one slash, and with a slash every login fails; Vault's may have dots, slashes and more, up to 256 bytes.",
	"policy-case":             "Vault's policy names are lower-cased; Consul's keep their case.",
	"reserved-policies":       "Policies that Vault does not give to a login, such as root, are refused when the rule is written.",
	"metadata-length":         "The services, or nodes, of one login are together at most 512 bytes long, with a comma between them: more does not fit into Vault's alias metadata, and the login is refused.",
	"role-bounds":             "A role of the plugin has bounds of its own, which must hold too, or it is skipped; a Consul role has none.",
	"role-dots":               "A role's name may have single dots within, as Vault's own paths take it; Consul's may not.",
	"long-annotation":         "A service name annotation of more than 1 KiB is as if there were none; Consul compares with it, and no name that has it is valid.",
	"role-edges":              "A role's name cannot begin or end with a hyphen in Vault, so such a role does not exist.",
	"more-attributes":         "Selectors and names can mention pods, nodes, labels, annotations, audiences and the cluster; Consul has the three attributes of the service account.",
	"more-bind-types":         "The bind type group is the plugin's own.",
	"templated-policies":      "Consul's bind type templated-policy is refused; Vault's templated policies read the metadata consul_service instead.",
	"newer-grammar":           "The plugin reads a newer version of the selector language: * for everybody, JSON pointers, and slashes and numbers in values without quotes.",
	"attribute-as-value":      "A value without quotes that is an attribute's name is text to Consul, and never what was meant; the plugin refuses it.",
	"mistaken-values":         "A value that no name can have, such as web-* or {{x}}, is refused where it is written, and so is a bind name that is plainly a template of another program's; Consul compares with it, or grants it.",
	"reserved-words":          "The words any, all and not as values have to be quoted.",
	"selector-bounds":         "A selector has at most 4 KiB, 128 comparisons and regular expressions of 2,048 instructions; Consul has no bounds.",
	"no-computation":          "Names are made of text and attributes; Consul also evaluates arithmetic and conditions.",
	"trial-values":            "Whether a name can be valid is tried with values of one character, in Consul with values of four, so that a name of nearly 256 characters is accepted here.",
}

// uses counts for each id the rows that name it.
func uses(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, row := range handmade() {
		for _, l := range row.logins {
			if l.differs == "" {
				continue
			}
			count[l.differs]++
			if l.consul.equal(l.plugin) {
				t.Errorf("%s: %s is the same on both sides, and listed as %s", row.name, l.account, l.differs)
			}
		}
	}
	for _, row := range slices.Concat(selectorWrites, nameWrites) {
		if row.differs != "" {
			count[row.differs]++
		}
	}
	return count
}

func TestDifferencesAreListed(t *testing.T) {
	count := uses(t)
	for id := range deliberateDifferences {
		if count[id] == 0 {
			t.Errorf("%s is listed, and no row shows it", id)
		}
	}
	for id := range count {
		if deliberateDifferences[id] == "" {
			t.Errorf("%s is not listed", id)
		}
	}
}

func TestDifferencesAreDocumented(t *testing.T) {
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "from-consul.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range slices.Sorted(maps.Keys(deliberateDifferences)) {
		if !strings.Contains(string(page), "`"+id+"`") {
			t.Errorf("docs/from-consul.md does not name `%s`", id)
		}
	}
}

// The issue asks for at least 60 rule sets and identities by hand.
func TestTableIsLarge(t *testing.T) {
	names, cases := map[string]bool{}, 0
	for _, row := range handmade() {
		if names[row.name] {
			t.Errorf("two rows are called %q", row.name)
		}
		names[row.name] = true
		cases += len(row.logins)
		for _, l := range row.logins {
			_, known := annotated[l.account]
			if _, ok := foreign[l.account]; !ok && !known {
				t.Errorf("%s: there is no account %s", row.name, l.account)
			}
		}
	}
	if len(names) < 60 {
		t.Errorf("there are %d rule sets with %d logins", len(names), cases)
	}
	t.Logf("%d rule sets with %d logins", len(names), cases)
}
