// Package chaos holds what the chaos suite of test/faults measured, as it is kept in JSON,
// and makes the tables of docs/chaos.md of it.
package chaos

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"
)

// None is in the place of a figure that there is none of.
const None = -1

// Section is one table: what was done, and what it cost with this plugin and with Vault's
// own method under the same treatment in the same run.
type Section struct {
	Began   time.Time `json:"began"`
	Length  string    `json:"length"` // of each treatment
	Machine string    `json:"machine"`
	Plugin  string    `json:"plugin"`
	Columns []Column  `json:"columns"`
	Rows    []Row     `json:"rows"`
}

// Column is a figure, and how many decimals it is shown with.
type Column struct {
	Title    string `json:"title"`
	Decimals int    `json:"decimals"`
}

// Row is one treatment. Each method has a figure for each column, or None.
type Row struct {
	What   string    `json:"what"`
	Ours   []float64 `json:"ours"`
	Theirs []float64 `json:"theirs"`
}

// Report has the sections by name.
type Report map[string]Section

// Read reads a report; a file that does not exist is an empty one.
func Read(path string) (Report, error) {
	content, err := os.ReadFile(path) //nolint:gosec // whoever runs the suite names the file
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, nil
	}
	if err != nil {
		return nil, err
	}
	report := Report{}
	return report, json.Unmarshal(content, &report)
}

// Put replaces one section of the report in a file.
func Put(path, name string, section Section) error {
	report, err := Read(path)
	if err != nil {
		return err
	}
	report[name] = section
	content, err := json.MarshalIndent(report, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o600)
}
