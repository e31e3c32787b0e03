package chaos

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Table is a section as it stands in the documentation. Each cell has the figure of this
// plugin and that of Vault's own method.
func (s Section) Table() string {
	var b strings.Builder
	b.WriteString("| what |")
	for _, c := range s.Columns {
		fmt.Fprintf(&b, " %s |", c.Title)
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(s.Columns)) + "\n")
	for _, r := range s.Rows {
		fmt.Fprintf(&b, "| %s |", r.What)
		for i, c := range s.Columns {
			fmt.Fprintf(&b, " %s / %s |", c.show(r.Ours, i), c.show(r.Theirs, i))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\n%s each, %s; %s; plugin %s.\n", s.Length, s.Began.Format("2006-01-02"), s.Machine, s.Plugin)
	return b.String()
}

func (c Column) show(figures []float64, i int) string {
	if i >= len(figures) || figures[i] == None {
		return "–"
	}
	return strconv.FormatFloat(figures[i], 'f', c.Decimals, 64)
}

// place finds where a table belongs in a document, with what stands there now.
var place = regexp.MustCompile(`(?s)<!-- chaos:([a-z]+) -->\n.*?<!-- /chaos -->`)

// Fill puts each table of a report in its place, and says where there is none yet. A
// section without a place is an error, and so is a place that is there twice.
func Fill(document string, report Report) (string, error) {
	var err error
	placed := map[string]bool{}
	filled := place.ReplaceAllStringFunc(document, func(found string) string {
		name := place.FindStringSubmatch(found)[1]
		if placed[name] {
			err = fmt.Errorf("the document has two places for %q", name)
		}
		placed[name] = true
		text := "Not measured yet.\n"
		if section, ok := report[name]; ok {
			text = section.Table()
		}
		return "<!-- chaos:" + name + " -->\n" + text + "<!-- /chaos -->"
	})
	for name := range report {
		if !placed[name] {
			err = fmt.Errorf("the document has no place for %q", name)
		}
	}
	return filled, err
}
