package kube

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ParseHost turns kubernetes_host into the base URL of the API server. It takes
// a host, a host:port pair, an IPv6 literal with or without brackets, or a URL,
// which may have a path (as behind Rancher and other proxies). Without a scheme
// it is https. Errors name the part that is wrong and never repeat user info.
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
	u, err := url.Parse(host)
	if err != nil {
		var parseError *url.Error
		if errors.As(err, &parseError) {
			err = parseError.Err // the outer text repeats the whole URL
		}
		return nil, fmt.Errorf("not a host or URL: %w", err)
	}
	if err := checkURL(u); err != nil {
		return nil, err
	}
	u.Host = strings.TrimSuffix(u.Host, ":") // an empty port is none
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("the scheme is %q, it must be https or http", u.Scheme)
	case u.Hostname() == "":
		return errors.New("the URL names no host")
	case u.User != nil:
		return errors.New("the URL has user info, which the Kubernetes API does not take")
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
