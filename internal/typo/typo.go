// Package typo finds the name that was meant by one that does not exist.
package typo

import "strings"

// Nearest is the name that was meant by one that does not exist, or "" if none
// is near. Letter case, _ and - do not count, so BindName and dryrun are found.
func Nearest(typed string, known []string) string {
	bare := strings.NewReplacer("_", "", "-", "", " ", "", ".", "")
	typed = bare.Replace(strings.ToLower(typed))
	if len(typed) > maxTyped {
		return ""
	}
	nearest, least := "", 2+len(typed)/3
	for _, name := range known {
		if d := editDistance(typed, bare.Replace(strings.ToLower(name))); d < least {
			nearest, least = name, d
		}
	}
	if nearest == "" {
		return endingIn(typed, known, bare)
	}
	return nearest
}

// endingIn is the only name that ends as what was typed, which then lacks the first words:
// host for kubernetes_host.
func endingIn(typed string, known []string, bare *strings.Replacer) string {
	found := ""
	for _, name := range known {
		if len(typed) < 4 || !strings.HasSuffix(bare.Replace(strings.ToLower(name)), typed) {
			continue
		}
		if found != "" {
			return ""
		}
		found = name
	}
	return found
}

// maxTyped bounds what is compared; no name is as long.
const maxTyped = 64

// editDistance is the least number of letters to insert, delete, replace or swap with
// their neighbour that makes b of a.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
