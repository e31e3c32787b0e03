package typo

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ListInText tells of the items of a list, as they were read out of a text at its commas,
// whether they are what is left of a list in JSON, or have quotes around them. reason is
// empty if they are not; else it shows the list in the right form, where that is plain.
func ListInText(items []string) (reason string) {
	for _, item := range items {
		item = strings.TrimSpace(item)
		if item == "" || !strings.ContainsAny(item[:1], "[{\"'`") && !strings.ContainsAny(item[len(item)-1:], "\"'`") {
			continue
		}
		reason = fmt.Sprintf("%.64q is no name, but what JSON or quotes in a text come to", item)
		if meant := listMeant(items); meant != "" {
			reason += "; write " + meant
		} else {
			reason += "; write the names with commas between them, and nothing around them"
		}
		return reason
	}
	return ""
}

// maxMeant bounds a list in an answer.
const maxMeant = 200

// listMeant is the list that was meant, as the command line has it; empty where that is
// not plain.
func listMeant(items []string) string {
	text, meant := strings.Join(items, ","), []string{}
	if json.Unmarshal([]byte(text), &meant) != nil {
		for _, item := range items {
			meant = append(meant, strings.Trim(item, "[]\"'` "))
		}
	}
	for _, item := range meant {
		if item == "" || strings.ContainsAny(item, "[]{}\"'`, ") {
			return ""
		}
	}
	if form := strings.Join(meant, ","); len(form) <= maxMeant {
		return form
	}
	return ""
}

// Audiences tells what of audiences was meant otherwise than they are compared, which is
// as a whole; empty if nothing was.
func Audiences(audiences []string) (reason string) {
	if reason := ListInText(audiences); reason != "" {
		return reason
	}
	for _, audience := range audiences {
		if strings.TrimSpace(audience) != "" && strings.ContainsAny(audience, "; \t\r\n") {
			return Words(audiences)
		}
		if at := strings.IndexAny(audience, "*$<>{}"); at >= 0 {
			return fmt.Sprintf("%.64q has a %c in it, and an audience is compared as a whole, with no pattern and no variable; write those that tokens are made for", audience, audience[at])
		}
	}
	return ""
}
