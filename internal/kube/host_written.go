package kube

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// fileEnding is how files end whose names stand where an address should; no host does.
var fileEnding = regexp.MustCompile(`(?i)\.(ya?ml|json|conf|config|kubeconfig|crt|pem)$`)

// CheckHost refuses a kubernetes_host that ParseHost would take for another machine than
// the one that is meant, or that names none, with the right form where there is one.
// advice is a word on a text that is taken, and would better be written otherwise.
func CheckHost(text string) (advice string, err error) {
	host := strings.TrimSpace(text)
	if err := misspelled(host); err != nil {
		return "", err
	}
	u, err := ParseHost(host)
	if err != nil {
		return "", withForm(host, err)
	}
	if err := checkName(u.Hostname()); err != nil {
		return "", err
	}
	if at := pathOfAPI.FindStringIndex(u.Path); at != nil && !strings.Contains(host, "@") {
		base := *u
		base.Path = u.Path[:at[0]]
		return fmt.Sprintf("the path %s belongs to the API, and requests are made below it; the host ends before it: write %s", u.Path[at[0]:at[1]], base.String()), nil
	}
	if _, rest, found := strings.Cut(host, "://"); found {
		authority, _, _ := strings.Cut(rest, "/")
		if address, port := splitIPv6(authority); address != "" {
			return fmt.Sprintf("read as the address %s and the port %s; brackets make it clear to all programs: %s", address, port, u), nil
		}
	}
	return "", nil
}

// misspelled refuses what has another meaning than the one that it looks to have.
func misspelled(host string) error {
	lower := strings.ToLower(host)
	withoutScheme := !strings.Contains(host, "://")
	switch {
	case !strings.Contains(host, "@") && (strings.ContainsAny(host, "\"'`,; \t\r\n") || strings.HasPrefix(host, "[") && !withoutScheme):
		return severalOrQuoted(host)
	case strings.HasPrefix(host, "@"):
		return errors.New("it begins with @, which reads a file with the vault command alone; give the address of the API server, such as https://10.0.0.1:6443")
	case strings.Contains(host, "@"):
		return nil // it may be a password, of which ParseHost repeats nothing
	case strings.ContainsAny(host, "$") || strings.HasPrefix(host, "%"):
		return errors.New("there is a variable in it without its value; give the address of the API server, such as https://10.0.0.1:6443")
	case isFile(host):
		return errors.New("it is the name of a file; give the address of the API server, which kubeconfig files have as server, such as https://10.0.0.1:6443")
	case withoutScheme && startsWithScheme(lower):
		return errors.New("the scheme is not followed by ://; write it as in https://10.0.0.1:6443")
	}
	if address, port := splitIPv6(host); withoutScheme && address != "" {
		form := fmt.Sprintf("https://[%s]:%s", address, port)
		if isIPv6(host) {
			return fmt.Errorf("it may be an address with a port, or without one: write %s, or https://[%s]", form, host)
		}
		return fmt.Errorf("an IPv6 address needs brackets before a port: write %s", form)
	}
	return nil
}

// severalOrQuoted refuses a text with quotes, with what stands between two hosts, or with
// words, with the first host in it.
func severalOrQuoted(host string) error {
	const ends = "\"'`,;[] \t\r\n"
	fields := strings.FieldsFunc(host, func(r rune) bool { return strings.ContainsRune(ends, r) })
	reason := "there are quotes or words in it, or more than one host; a mount has one"
	if at := slices.IndexFunc(fields, func(field string) bool { return strings.Contains(field, "://") }); at > 0 {
		fields = fields[at:] // what comes before it is what a command said of it
	}
	if len(fields) > 0 {
		if u, err := ParseHost(fields[0]); err == nil && checkName(u.Hostname()) == nil && !isFile(fields[0]) {
			return fmt.Errorf("%s: write %s", reason, fields[0])
		}
	}
	return errors.New(reason + ", such as https://10.0.0.1:6443")
}

// pathOfAPI is a path of the Kubernetes API itself, at the end of what was copied.
var pathOfAPI = regexp.MustCompile(`/(api|apis|version|healthz|livez|readyz|openapi)(/.*)?$`)

func isFile(host string) bool {
	if strings.Contains(host, "://") {
		return false
	}
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "~") || strings.HasPrefix(host, ".") {
		return true
	}
	return fileEnding.MatchString(host) && !strings.Contains(host, ":")
}

// startsWithScheme tells whether a text without :// has most of it.
func startsWithScheme(lower string) bool {
	for _, scheme := range []string{"https", "http"} {
		if rest, found := strings.CutPrefix(lower, scheme); found {
			return strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "/")
		}
	}
	return false
}

// withForm adds the right form to the error about a host: of an address of IPv6, of one
// whose scheme is that of Kubernetes' own variables (tcp://), and of one that is empty.
func withForm(host string, err error) error {
	scheme, rest, found := strings.Cut(host, "://")
	if !found {
		scheme, rest = "https", host
	}
	if lower := strings.ToLower(scheme); lower != "https" && lower != "http" && !strings.Contains(host, "@") {
		if _, other := CheckHost("https://" + rest); other == nil {
			return fmt.Errorf("%w; write https://%s", err, rest)
		}
	}
	authority, path, _ := strings.Cut(rest, "/")
	const form = "write it as in https://10.0.0.1:6443"
	if errors.Is(err, errNoHost) && strings.HasPrefix(strings.ToLower(scheme), "http") {
		return fmt.Errorf("%w; a variable may have been empty: "+form, err)
	}
	if path != "" {
		path = "/" + path
	}
	port, bare := "", authority
	if inner, after, closed := strings.Cut(strings.TrimPrefix(authority, "["), "]"); closed {
		bare, port = inner, after
	}
	address, parseErr := netip.ParseAddr(bare)
	if parseErr != nil || !address.Is6() || strings.Trim(port, ":0123456789") != "" {
		if errors.Is(err, errNoURL) {
			return fmt.Errorf("%w; "+form, err) // whose words are the parser's
		}
		return err
	}
	inBrackets := strings.Replace(bare, "%", "%25", 1)
	return fmt.Errorf("%w; an IPv6 address stands in brackets in a URL: write %s://[%s]%s%s", err, strings.ToLower(scheme), inBrackets, port, path)
}

// checkName refuses what can be no name of a machine, and no address.
func checkName(name string) error {
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	const form = "; write it as in https://10.0.0.1:6443 or https://kubernetes.example.com:6443"
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r) {
			return fmt.Errorf("%q can be in no name of a host"+form, r)
		}
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return errors.New("a part of the name between two dots is empty, or longer than 63 characters" + form)
		}
	}
	if lower := strings.ToLower(name); lower == "http" || lower == "https" {
		return errors.New("the scheme is there twice" + form)
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return errors.New("it ends with a number as addresses do, and is none" + form)
	}
	return nil
}
