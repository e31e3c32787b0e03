package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// deliberateDifferences are the ways in which this plugin answers otherwise than
// Vault's own method. The tables of the other tests refer to them; whatever else
// they find to differ is a failure.
var deliberateDifferences = map[string]string{
	"refusal-wording":           "an anonymous caller is not told which check refused the token",
	"outage-5xx":                "an API server that cannot be asked is a 503 and not a refusal",
	"default-issuer":            "issuer validation without an issuer asks for the documented default",
	"review-first":              "the identity is the one that the TokenReview names, not the one that the token claims",
	"bare-host":                 "a kubernetes_host without scheme works, as documented",
	"lookup-forbidden":          "a reviewer that may not get the service account is a 403 and not a 500",
	"selector-without-reviewer": "without reviewer, the login's own token is the credential for the namespace too",
	"second-token":              "where there is no reviewer, reviewer_jwt of a login asks about its jwt",
	"audience-string":           "the aud claim may be a string, as in RFC 7519",
	"role-name-size":            "a role name of more than 512 bytes is refused without repeating it",
	"token-size":                "a token of more than 16 KiB is refused without asking",
	"token-space":               "space around a token, as in files, does not count",
	"bound-metadata":            "the metadata of a Vault token names the pod and the node that the token was bound to",
	"reserved-keys":             "annotations may not set the further keys that the plugin itself uses in alias metadata",
	"metadata-values":           "annotations that Vault would refuse, or whose value is a wildcard of policies, are left out of the alias metadata",
	"login-by-rules":            "a login without a role is a 400 only where there are no binding rules",
	"added-bounds":              "a role has further bounds",
	"config-patch-delete":       "the configuration can be patched and deleted",
	"host-refused":              "a kubernetes_host that cannot be parsed is refused when it is written",
	"ca-refused":                "a CA bundle without a certificate that parses is refused when it is written",
	"ipv6-brackets":             "a kubernetes_host of an IPv6 address and a port without brackets is taken with a warning",
	"pem-taken":                 "PEM that lost its line feeds, and keys in PKCS #1, are taken",
	"pem-several":               "several keys in one item of pem_keys all count, as items of their own",
	"pem-place":                 "the refusal of pem_keys says which block it is about, and why",
	"reviewer-refused":          "a reviewer's token that is the name of a file, or cannot be sent, is refused when it is written",
	"ca-missing":                "the refusal of a configuration without a CA, where Vault runs in no pod, says what to name",
	"printed-nothing":           "a write with what programs print where there is nothing says so",
	"value-words":               "a value that cannot be read as true or false, a duration, a number or a pair is refused with the right form",
	"unknown-fields":            "a write with fields that do not exist always has Vault's warning about them",
	"settings-lost":             "a write that takes a setting away without naming it, the reviewer's token above all, says so",
	"emptied":                   "a write of the configuration that takes a setting away by an empty value, or reads one as false, says so",
	"reviewer-blank":            "a reviewer's token of nothing but space is none, and reads as none",
	"policy-refused":            "a write of a role with a policy that Vault gives to no login says so",
	"role-in-use":               "the deletion of a role that something refers to says so",
	"numbers-read":              "a write of a role says which of its durations and numbers were read as others than were written",
	"list-in-text":              "a write of a role says which of its names, lists and addresses hold what no login can be within, and what was meant",
	"added-settings":            "settings that only this plugin has stay until a write names them",
	"widened":                   "a write of a role that takes a bound away by an empty value says which",
	"ed25519":                   "the refusal of an Ed25519 key says that this is the reason",
	"partial-selector":          "a write that does not name the namespace selector keeps it",
	"match-expressions":         "matchExpressions work in a namespace selector",
	"selector-errors":           "the refusal of a namespace selector says what is wrong with it",
	"selector-strict":           "a namespace selector that is empty, or has fields or labels that cannot be, is refused when it is written",
	renewalCheck:                "a token is not renewed once its service account is gone",
	renewalOrphan:               "the answer to a renewal has orphan=false, since Vault does not tell an external plugin; the token is one still",
	quotaCase:                   "a role's quota counts logins that name the role in another letter case",
	"reviewer-renewed":          "the mount can make the reviewer's tokens by itself",
	"issuers":                   "issuer may name several",
	"use-binding-rules":         "a role can stand for the binding rules",
	"alias-metadata":            "a role has alias_metadata, as in later versions of Vault",
}

// documented matches the first cell of a table's row, or a heading.
var documented = regexp.MustCompile("(?m)^(?:\\| |#+ )`([a-z0-9-]+)`")

func TestDifferencesAreDocumented(t *testing.T) {
	t.Parallel()
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "differences.md"))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, match := range documented.FindAllStringSubmatch(string(text), -1) {
		ids[match[1]] = true
	}
	for id, sentence := range deliberateDifferences {
		if !ids[id] {
			t.Errorf("docs/differences.md has no row for `%s`: %s", id, sentence)
		}
	}
	for id := range ids {
		if deliberateDifferences[id] == "" {
			t.Errorf("docs/differences.md has a row for `%s`, which no test knows of", id)
		}
	}
}

// TestDifferencesAreTested makes sure that none is listed that a row does not show,
// and none shown that is not listed.
func TestDifferencesAreTested(t *testing.T) {
	t.Parallel()
	used := map[string]bool{renewalOrphan: true, renewalCheck: true, quotaCase: true}
	for _, row := range slices.Concat(configRows(), roleRows()) {
		for _, e := range row.exchanges {
			used[e.differs] = true
		}
	}
	for _, row := range slices.Concat(loginRows(), twoTokenRows()) {
		used[row.differs] = true
	}
	delete(used, "")
	got, want := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(deliberateDifferences))
	if !slices.Equal(got, want) {
		t.Errorf("the rows show the differences\n%q\nand listed are\n%q", got, want)
	}
}
