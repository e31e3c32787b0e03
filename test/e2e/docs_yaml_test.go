package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")

// TestYAMLInDocs reads the YAML in the documentation. A kustomization is rendered, in
// a folder beside a checkout as its reader would have one.
func TestYAMLInDocs(t *testing.T) {
	t.Parallel()
	rendered := 0
	for doc, text := range contents(t, filepath.Join(filepath.Dir(deployFolder(t)), "docs", "*.md")) {
		for _, block := range yamlBlock.FindAllStringSubmatch(text, -1) {
			var object struct{ Kind string }
			if err := yaml.Unmarshal([]byte(block[1]), &object); err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(doc), err, block[1])
			}
			if object.Kind != "Kustomization" {
				continue
			}
			rendered++
			dir := t.TempDir()
			checkout := filepath.Join(dir, "vault-plugin-auth-kubernetes", "deploy")
			if err := os.CopyFS(checkout, os.DirFS(deployFolder(t))); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if manifest := mainCluster(t).kubectl(t, "", "kustomize", dir); strings.Count(manifest, "kind: ClusterRole\n") < 2 {
				t.Errorf("%s: the kustomization gives\n%s", filepath.Base(doc), manifest)
			}
		}
	}
	if rendered == 0 {
		t.Error("no document has a kustomization; the pattern must be wrong")
	}
}
