package typo

import "regexp"

// A Document is what people paste as a whole where a part of it is meant.
type Document string

// What DocumentOf tells apart; the words are for reasons.
const (
	Kubeconfig Document = "a kubeconfig"
	Object     Document = "a manifest"
	Complaint  Document = "a complaint"
)

var documents = []struct {
	is      Document
	pattern *regexp.Regexp
}{
	{Complaint, regexp.MustCompile(`(?i)^(error:|error from server|unable to connect to the server|the connection to the server|no resources found|command terminated|.{0,64}: command not found)`)},
	{Kubeconfig, regexp.MustCompile(`certificate-authority(-data)?["']?:|["']?\bkind["']?\s*:\s*["']?Config\b`)},
	{Object, regexp.MustCompile(`["']?\bkind["']?\s*:\s*["']?[A-Z]|(?m)^\s*["']?(apiVersion|metadata)["']?\s*:`)},
}

// DocumentOf tells which document a text is; empty if it is none that is known. What was
// meant of it is never taken out of it: there may be several.
func DocumentOf(text string) Document {
	for _, document := range documents {
		if document.pattern.MatchString(text) {
			return document.is
		}
	}
	return ""
}
