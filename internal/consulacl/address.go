package consulacl

import (
	"fmt"
	"net/url"
	"strings"
)

// ParseAddress reads the address of a Consul: a scheme, a host, a port if it is not the
// scheme's own, and a path if the API is below one.
func ParseAddress(text string) (*url.URL, error) {
	const form = "such as https://consul.example.com:8501"
	address, err := url.Parse(strings.TrimSpace(text))
	if whole, wrong := url.Parse("https://" + strings.TrimSpace(text)); wrong == nil && whole.User == nil && !strings.Contains(text, "/") && whole.Port() != "" {
		return nil, fmt.Errorf("it has no scheme: write %s, or http:// before it where there is no TLS", whole)
	}
	switch {
	case err != nil, address.Scheme != "http" && address.Scheme != "https":
		return nil, fmt.Errorf("it begins with https:// or http://, %s", form)
	case address.Hostname() == "":
		return nil, fmt.Errorf("it names no host; it is %s", form)
	case address.User != nil, address.RawQuery != "", address.Fragment != "":
		return nil, fmt.Errorf("it has a scheme, a host, a port and a path, and nothing else, %s", form)
	}
	address.Path = strings.TrimRight(address.Path, "/")
	return address, nil
}
