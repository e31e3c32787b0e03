package kube

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ParseHost turns kubernetes_host into the base URL of the API server. It takes
// a host, a host:port pair, an IPv6 literal with or without brackets, or a URL,
// which may have a path (as behind Rancher and other proxies). Without a scheme
// it is https. Errors name the part that is wrong and never repeat user info.
//
// It is for what is stored, which goes on as it did; CheckHost is for what is written.
func ParseHost(host string) (*url.URL, error) {
	host = strings.TrimSpace(host)
	if host == "" {
		return nil, errors.New("the host is empty")
	}
	if !strings.Contains(host, "://") {
		if ip := net.ParseIP(host); ip != nil && strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		host = "https://" + host
	}
	u, err := url.Parse(withBrackets(host))
	if err != nil {
		if strings.Contains(host, "@") {
			return nil, errUserInfo // what is wrong with it may be part of a password
		}
		var parseError *url.Error
		if errors.As(err, &parseError) {
			err = parseError.Err // the outer text repeats the whole URL
		}
		return nil, fmt.Errorf("%w: %w", errNoURL, err)
	}
	if err := checkURL(u); err != nil {
		return nil, err
	}
	u.Host = strings.TrimSuffix(u.Host, ":") // an empty port is none
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	if _, err := url.Parse(u.String()); err != nil {
		return nil, errors.New("the host has characters that a URL cannot carry") // é in the zone of an address, say
	}
	return u, nil
}

var errNoHost = errors.New("the URL names no host")

var errNoURL = errors.New("not a host or URL")

var errUserInfo = errors.New("the URL has user info, which the Kubernetes API does not take")

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("the scheme is %q, it must be https or http", u.Scheme)
	case u.Hostname() == "":
		return errNoHost
	case u.User != nil:
		return errUserInfo
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return errors.New("the URL has a query or a fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("the port %q is not between 1 and 65535", port)
		}
	}
	return nil
}

// withBrackets puts brackets around the address of a URL such as https://fd00::1:443.
// The Go that Vault 1.21 is built with takes what follows the last colon for the port,
// so entries like this one work there; later versions of Go refuse them.
func withBrackets(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	authority, path := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, path = rest[:end], rest[end:]
	}
	address, port := splitIPv6(authority)
	if address == "" {
		return text
	}
	return scheme + "://[" + address + "]:" + port + path
}

// splitIPv6 takes an address without brackets and a port apart; "" if a text is not both.
func splitIPv6(text string) (address, port string) {
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 || !isIPv6(text[:colon]) {
		return "", ""
	}
	port = text[colon+1:]
	if port == "" || strings.Trim(port, "0123456789") != "" {
		return "", ""
	}
	return text[:colon], port
}

func isIPv6(text string) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && address.Is6() && address.Zone() == ""
}
