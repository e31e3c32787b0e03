package kube

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// HiddenPart stands for what is secret in a proxy's URL wherever it is read.
const HiddenPart = "xxxxx"

// ParseProxy reads the URL of a proxy; nil if it is empty. The error repeats nothing of
// it, since it may hold a password.
func ParseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	proxy, err := url.Parse(text)
	if err != nil || proxy.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5"}, proxy.Scheme) {
		return nil, errors.New("proxy_url: not the URL of an http, https or socks5 proxy; write it as in http://proxy.example.com:3128")
	}
	return proxy, nil
}

// ShownProxy is a proxy's URL as it is read: without the password, and without a user
// that has none, since that is a key. What cannot be parsed is not shown.
func ShownProxy(text string) string {
	proxy, err := url.Parse(text)
	if err != nil {
		return ""
	}
	if proxy.User == nil {
		return text
	}
	if password, _ := proxy.User.Password(); password == "" {
		proxy.User = url.User(HiddenPart)
	}
	return proxy.Redacted()
}

// CheckServerName refuses what no certificate can be for.
func CheckServerName(name string) error {
	if len(validation.IsDNS1123Subdomain(name)) > 0 && net.ParseIP(name) == nil {
		const reason = "tls_server_name: not a host name or address"
		meant := strings.Trim(name, "\"' ")
		if _, after, found := strings.Cut(meant, "://"); found {
			meant = after
		}
		meant, _, _ = strings.Cut(meant, "/")
		meant, _, _ = strings.Cut(meant, ":")
		if len(validation.IsDNS1123Subdomain(meant)) > 0 {
			return errors.New(reason)
		}
		return errors.New(reason + "; it is the name alone: write " + meant)
	}
	return nil
}
