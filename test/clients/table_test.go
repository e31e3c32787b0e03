package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// readTable reads the outcomes that docs/clients.md has, by client and scenario. The first
// column has the clients.
func readTable(t *testing.T) map[[2]string]string {
	t.Helper()
	root, err := testbed.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := map[[2]string]string{}
	var columns []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			columns = nil
		case columns == nil && cells[0] == "What becomes of":
			columns = cells
		case columns != nil && !strings.HasPrefix(cells[0], "---"):
			for i, cell := range cells[1:] {
				table[[2]string{cells[0], columns[i+1]}] = cell
			}
		}
	}
	return table
}

// The table has all clients and scenarios, and no others.
func TestTable(t *testing.T) {
	table := readTable(t)
	if want := len(clients) * len(scenarios); len(table) != want {
		t.Errorf("docs/clients.md has %d outcomes, there are %d", len(table), want)
	}
	for _, c := range clients {
		for _, s := range scenarios {
			if table[[2]string{c.name, s.name}] == "" {
				t.Errorf("docs/clients.md does not say what becomes of %s: %s", c.name, s.name)
			}
		}
	}
}
