package report

import (
	"fmt"
	"regexp"
)

// marker finds a place for a table in a document, with what stands there now.
var marker = regexp.MustCompile(`(?s)<!-- bench:([a-z]+) -->\n(.*?)<!-- /bench -->`)

// anyMarker finds what looks like one end of such a place.
var anyMarker = regexp.MustCompile(`<!-- /?bench`)

// Fill puts each table between its markers. Every table has to have a place, and
// every place a table.
func Fill(document string, tables map[string]string) (string, error) {
	found := map[string]int{}
	places := marker.FindAllStringSubmatch(document, -1)
	for _, place := range places {
		found[place[1]]++
		if _, ok := tables[place[1]]; !ok {
			return "", fmt.Errorf("the document has a place for a table %q, which does not exist", place[1])
		}
		if anyMarker.MatchString(place[2]) {
			return "", fmt.Errorf("the place for the table %q does not end before another begins", place[1])
		}
	}
	if len(anyMarker.FindAllString(document, -1)) != 2*len(places) {
		return "", fmt.Errorf("the document has a marker that is not one of a pair")
	}
	for name := range tables {
		if found[name] != 1 {
			return "", fmt.Errorf("the document has %d places for the table %q, want 1", found[name], name)
		}
	}
	return marker.ReplaceAllStringFunc(document, func(place string) string {
		name := marker.FindStringSubmatch(place)[1]
		return "<!-- bench:" + name + " -->\n" + tables[name] + "<!-- /bench -->"
	}), nil
}
