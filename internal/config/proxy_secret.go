package config

import (
	"errors"
	"net/url"

	"vault-plugin-auth-kubernetes/internal/kube"
)

// errHiddenProxy is about a URL that was read, changed and written.
var errHiddenProxy = errors.New("proxy_url: " + kube.HiddenPart + " stands for the password that is stored with another URL; write the URL with its password")

// KeepProxySecret takes what was read and is written back for what is stored. With any
// change to it the password has to be named: it must not go to another proxy.
func (c *Entry) KeepProxySecret(before *Entry) error {
	stored := ""
	if before != nil {
		stored = before.ProxyURL
	}
	switch proxy, err := url.Parse(c.ProxyURL); {
	case c.ProxyURL == stored, err != nil, proxy.User == nil:
		return nil // as it is, or judged by others
	case c.ProxyURL == kube.ShownProxy(c.ProxyURL) && kube.ShownProxy(stored) == c.ProxyURL:
		c.ProxyURL = stored
	case c.ProxyURL == kube.ShownProxy(c.ProxyURL):
		return errHiddenProxy
	}
	return nil
}
