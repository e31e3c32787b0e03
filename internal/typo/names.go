package typo

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

var (
	// name is what Kubernetes calls namespaces and service accounts, or a pattern of such
	// names, with * for anything.
	name      = regexp.MustCompile(`^[a-z0-9.*-]+$`)
	separator = regexp.MustCompile(`[,;\s]+`)
	// between is separator without the comma, which may be in a list that came as one.
	between = regexp.MustCompile(`[;\s]`)
	// username is what the API server calls a service account.
	username = regexp.MustCompile(`^(?:system:serviceaccount:)?([a-z0-9.-]+)[:/]([a-z0-9.-]+)$`)
)

// Names tells of names of namespaces or of service accounts, which may be patterns, whether
// no name can be like one of them; empty if they all could be. A name that is a pair of
// both goes into the field pairs.
func Names(items []string, pairs string) (reason string) {
	if reason := ListInText(items); reason != "" {
		return reason
	}
	wrong, all := "", []string{}
	for _, item := range items {
		if strings.TrimSpace(item) == "" {
			continue
		}
		if wrong == "" && !name.MatchString(item) {
			wrong = item
		}
		all = append(all, namesMeant(item)...)
	}
	if wrong == "" {
		return ""
	}
	reason = fmt.Sprintf("nothing has the name %.64q", wrong)
	switch pair := Pair(wrong); {
	case strings.HasPrefix(wrong, "@"):
		return reason + "; @ reads a file with the vault command alone, and as the first character of the value"
	case strings.Contains(wrong, "$") && !strings.HasSuffix(wrong, "$"):
		return reason + "; there is a variable in it without its value"
	case pair != "":
		return reason + fmt.Sprintf("; a namespace and a service account together go into another field: write %s=%s, and leave those of names and of namespaces out", pairs, pair)
	}
	for _, item := range all {
		if !name.MatchString(item) {
			return reason + "; names have lower-case letters, digits, - and dots, and * stands for anything"
		}
	}
	return reason + form(all)
}

// namesMeant are the names that were meant by one text.
func namesMeant(text string) []string {
	var names []string
	for _, one := range separator.Split(strings.TrimSpace(text), -1) {
		one = strings.TrimSuffix(strings.TrimPrefix(one, "^"), "$")
		one = strings.ReplaceAll(one, ".*", "*")
		if strings.HasSuffix(one, "%") { // as SQL has it
			one = strings.TrimSuffix(one, "%") + "*"
		}
		names = append(names, strings.ToLower(one))
	}
	return names
}

// Pair is namespace/name of what names a service account in another way, else "".
func Pair(text string) string {
	parts := username.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return ""
	}
	return parts[1] + "/" + parts[2]
}

// Pairs is the list of pairs that was meant by one, as the command line has it; "" where
// that is not plain.
func Pairs(items []string) string {
	var pairs []string
	for _, item := range items {
		for _, one := range separator.Split(strings.TrimSpace(item), -1) {
			pair := Pair(strings.Replace(one, "=", "/", 1))
			if pair == "" {
				return ""
			}
			pairs = append(pairs, pair)
		}
	}
	if list := strings.Join(pairs, ","); len(list) <= maxMeant {
		return list
	}
	return ""
}

// Words tells of items that are one word each, such as policies, whether one is several, or
// the name of a file; empty if not.
func Words(items []string) (reason string) {
	if reason := ListInText(items); reason != "" {
		return reason
	}
	wrong, all := "", []string{}
	for _, item := range items {
		if strings.TrimSpace(item) == "" {
			continue
		}
		if wrong == "" && (strings.HasPrefix(item, "@") || between.MatchString(item)) {
			wrong = item
		}
		all = append(all, separator.Split(strings.TrimSpace(item), -1)...)
	}
	switch {
	case wrong == "":
		return ""
	case strings.HasPrefix(wrong, "@"):
		return fmt.Sprintf("%.64q is taken for a name; @ reads a file with the vault command alone, and names go here, not what they stand for", wrong)
	case strings.ContainsAny(wrong, "{}\"'="):
		return fmt.Sprintf("%.64q is taken for one name; names go here, not what they stand for", wrong)
	}
	return fmt.Sprintf("%.64q is taken for one name", wrong) + form(all)
}

// Several are the words that one text has; one or none where it is no list.
func Several(text string) []string {
	return separator.Split(strings.Trim(text, ",; \t\r\n"), -1)
}

// Addresses shows the list of addresses and networks that was meant by one, as the command
// line has it; "" where that is not plain.
func Addresses(items []string) string {
	var all []string
	for _, item := range items {
		for _, one := range separator.Split(strings.Trim(item, "[]\"' \t\n"), -1) {
			one = strings.Trim(one, "[]\"',")
			if address, mask, ok := strings.Cut(one, "/"); ok && strings.Contains(mask, ".") {
				one = address + "/" + maskBits(mask)
			}
			if _, err := netip.ParseAddr(one); err != nil {
				network, err := netip.ParsePrefix(one)
				if err != nil {
					return ""
				}
				one = network.Masked().String()
			}
			all = append(all, one)
		}
	}
	if list := strings.Join(all, ","); len(list) <= maxMeant {
		return list
	}
	return ""
}

// maskBits is how many bits of an address a mask such as 255.255.0.0 leaves; "" if it is none.
func maskBits(mask string) string {
	address, err := netip.ParseAddr(mask)
	if err != nil || !address.Is4() {
		return ""
	}
	four := address.As4()
	bits := fmt.Sprintf("%08b%08b%08b%08b", four[0], four[1], four[2], four[3])
	ones := strings.TrimRight(bits, "0")
	if strings.Contains(ones, "0") {
		return ""
	}
	return fmt.Sprint(len(ones))
}

// form is the end of a reason that shows the right form, if it is short enough.
func form(items []string) string {
	if list := strings.Join(items, ","); len(list) <= maxMeant {
		return "; write " + list
	}
	return "; write the names with commas between them"
}
