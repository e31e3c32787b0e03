package consultoken

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/pemtext"
)

// What counts where the configuration says nothing, and what it may say.
const (
	DefaultAuthMethod = "kubernetes"
	DefaultMaxTTL     = time.Hour
	minTTL            = time.Minute
	// LongTTL is what Consul before 1.16 takes at most.
	LongTTL        = 24 * time.Hour
	maxTTL         = 30 * 24 * time.Hour
	defaultTimeout = 10 * time.Second
	maxTimeout     = time.Minute

	localityLocal  = "local"
	localityGlobal = "global"
)

// Entry is the configuration of a mount's Consul, as it is stored.
type Entry struct {
	Address        string                  `json:"address"`
	CACert         string                  `json:"ca_cert,omitempty"`
	ClientCert     string                  `json:"client_cert,omitempty"`
	ClientKey      string                  `json:"client_key,omitempty"`
	TLSServerName  string                  `json:"tls_server_name,omitempty"`
	Token          string                  `json:"token"`
	Datacenter     string                  `json:"datacenter,omitempty"`
	Namespace      string                  `json:"namespace,omitempty"`
	Partition      string                  `json:"partition,omitempty"`
	NamespaceRules []binding.NamespaceRule `json:"namespace_rules,omitempty"`
	TokenLocality  string                  `json:"token_locality,omitempty"`
	MaxTokenTTL    time.Duration           `json:"max_token_ttl,omitempty"` // nanoseconds
	AuthMethod     string                  `json:"auth_method,omitempty"`
	MountAccessor  string                  `json:"mount_accessor,omitempty"`
	RequestTimeout time.Duration           `json:"request_timeout,omitempty"` // nanoseconds

	// Key is what the mount's own tokens are known by; made once, and never read.
	Key []byte `json:"key"`
	// Retired is the accessor of a token of the plugin's own that is to be deleted: one
	// that a rotation replaced, or that one made and did not come to use.
	Retired string `json:"retired,omitempty"`
}

// Fields are pointers to the fields of the entry, by the names that the path has for them.
// The rules for namespaces are read by the path itself.
func (e *Entry) Fields() map[string]any {
	return map[string]any{
		"address":         &e.Address,
		"ca_cert":         &e.CACert,
		"client_cert":     &e.ClientCert,
		"client_key":      &e.ClientKey,
		"tls_server_name": &e.TLSServerName,
		"token":           &e.Token,
		"datacenter":      &e.Datacenter,
		"namespace":       &e.Namespace,
		"partition":       &e.Partition,
		"token_locality":  &e.TokenLocality,
		"max_token_ttl":   &e.MaxTokenTTL,
		"auth_method":     &e.AuthMethod,
		"mount_accessor":  &e.MountAccessor,
		"request_timeout": &e.RequestTimeout,
	}
}

// Data is what reading the configuration returns: all but what is secret.
func (e *Entry) Data() map[string]any {
	rules := []map[string]any{}
	for _, rule := range e.NamespaceRules {
		rules = append(rules, map[string]any{"selector": rule.Selector, "bind_namespace": rule.BindNamespace})
	}
	return map[string]any{
		"address":         e.Address,
		"ca_cert":         e.CACert,
		"client_cert":     e.ClientCert,
		"client_key_set":  e.ClientKey != "",
		"tls_server_name": e.TLSServerName,
		"token_set":       e.Token != "",
		"datacenter":      e.Datacenter,
		"namespace":       e.Namespace,
		"partition":       e.Partition,
		"namespace_rules": rules,
		"token_locality":  cmp.Or(e.TokenLocality, localityLocal),
		"max_token_ttl":   int64(e.MaxTTL().Seconds()),
		"auth_method":     e.Method(),
		"mount_accessor":  e.MountAccessor,
		"request_timeout": int64(e.Timeout().Seconds()),
	}
}

// OnlyRead are what Data returns and no write takes. The entry may be nil.
func (e *Entry) OnlyRead() map[string]any {
	if e == nil {
		return nil
	}
	return map[string]any{"client_key_set": e.ClientKey != "", "token_set": e.Token != ""}
}

// MaxTTL is how long tokens are good.
func (e *Entry) MaxTTL() time.Duration { return cmp.Or(e.MaxTokenTTL, DefaultMaxTTL) }

// Method is the name by which clients call for tokens.
func (e *Entry) Method() string { return cmp.Or(e.AuthMethod, DefaultAuthMethod) }

// Timeout bounds each request.
func (e *Entry) Timeout() time.Duration { return cmp.Or(e.RequestTimeout, defaultTimeout) }

// HasNamespaces tells whether this is a Consul Enterprise: another refuses tokens that name
// a namespace.
func (e *Entry) HasNamespaces() bool {
	return e.Namespace != "" || e.Partition != "" || len(e.NamespaceRules) > 0
}

// Deadline bounds the making of a token, however many requests it takes.
func (e *Entry) Deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 3*e.Timeout())
}

// Local tells whether tokens are good in one datacenter only, as by default.
func (e *Entry) Local() bool { return e.TokenLocality != localityGlobal }

// methodName is what Consul takes as the name of an auth method.
var methodName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Validate refuses what could never work, and puts what is taken into one form.
func (e *Entry) Validate() error {
	address, err := consulacl.ParseAddress(e.Address)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	e.Address = address.String()
	e.Token = strings.TrimSpace(e.Token)
	switch {
	case e.Token == "":
		return errors.New("token: it is missing; the plugin needs one that may write ACLs")
	case strings.ContainsFunc(e.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("token: it has characters that no token has; give the SecretID alone")
	case !methodName.MatchString(e.Method()):
		return errors.New("auth_method: letters, digits, - and _, 128 at most")
	case !slices.Contains([]string{"", localityLocal, localityGlobal}, e.TokenLocality):
		return errors.New("token_locality: it must be local or global")
	case e.MaxTokenTTL != 0 && (e.MaxTokenTTL < minTTL || e.MaxTokenTTL > maxTTL):
		return fmt.Errorf("max_token_ttl: it must be between %s and %s, or 0 for the default; Consul takes no shorter one", minTTL, maxTTL)
	case e.RequestTimeout < 0 || e.RequestTimeout > maxTimeout:
		return fmt.Errorf("request_timeout: it must be between 1s and %s, or 0 for the default", maxTimeout)
	}
	for field, name := range map[string]string{
		"datacenter": e.Datacenter, "namespace": e.Namespace, "partition": e.Partition, "mount_accessor": e.MountAccessor,
	} {
		if name != "" && !methodName.MatchString(name) {
			return fmt.Errorf("%s: letters, digits, - and _, 128 at most", field)
		}
	}
	if _, err := binding.CompileNamespaceRules(e.NamespaceRules); err != nil {
		return fmt.Errorf("namespace_rules: %w", err)
	}
	return e.validateTLS(address)
}

func (e *Entry) validateTLS(address *url.URL) (err error) {
	if e.CACert != "" {
		if e.CACert, err = pemtext.Certificates(e.CACert); err != nil {
			return fmt.Errorf("ca_cert: %w", err)
		}
	}
	if e.ClientCert != "" {
		if e.ClientCert, err = pemtext.Certificates(e.ClientCert); err != nil {
			return fmt.Errorf("client_cert: %w", err)
		}
	}
	if address.Scheme == "http" && (e.CACert != "" || e.ClientCert != "" || e.ClientKey != "" || e.TLSServerName != "") {
		return errors.New("address: it begins with http://, and ca_cert, client_cert, client_key and tls_server_name are for https://")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client, err := e.client(ctx, nil, nil, "")
	if err == nil {
		client.Close()
	}
	return err
}

// Warnings are what whoever writes the configuration should know.
func (e *Entry) Warnings() []string {
	var warnings []string
	address, err := consulacl.ParseAddress(e.Address)
	if err == nil && address.Scheme == "http" {
		if host := address.Hostname(); host != "localhost" && !net.ParseIP(host).IsLoopback() {
			warnings = append(warnings, "address: tokens go over the network unencrypted, the plugin's own, which may write ACLs, among them; use https://")
		}
	}
	if e.MaxTTL() > LongTTL {
		warnings = append(warnings, fmt.Sprintf("max_token_ttl: Consul before 1.16 takes %s at most, and refuses every token that is to last longer", LongTTL))
	}
	if e.HasNamespaces() {
		warnings = append(warnings, "namespace, partition and namespace_rules are for Consul Enterprise; another Consul refuses every token with them")
	}
	return warnings
}

// errOtherServer is about a token that was meant for one Consul and would go to another.
var errOtherServer = errors.New("token: the address is another one, and the token that is stored must not go there; name the token of that Consul as well")

// TakeOver is called when an entry replaces another, nil if there is none; named tells
// whether the token was. It keeps what no field says.
func (e *Entry) TakeOver(before *Entry, tokenNamed bool) error {
	if before != nil && before.Address != e.Address && !tokenNamed {
		was, errWas := consulacl.ParseAddress(before.Address)
		is, err := consulacl.ParseAddress(e.Address)
		if err != nil || errWas != nil || was.String() != is.String() {
			if err == nil {
				return errOtherServer
			}
		}
	}
	if len(e.Key) != consulacl.KeySize {
		e.Key = make([]byte, consulacl.KeySize)
		_, _ = rand.Read(e.Key) // it never fails
	}
	return nil
}

func (e *Entry) client(ctx context.Context, clock consulacl.Clock, meter *consulacl.Meter, userAgent string) (*consulacl.Client, error) {
	address, err := consulacl.ParseAddress(e.Address)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	return consulacl.New(ctx, consulacl.Options{
		Address: address, CAPEM: e.CACert, CertPEM: e.ClientCert, KeyPEM: e.ClientKey, ServerName: e.TLSServerName,
		Token: e.Token, Datacenter: e.Datacenter, Partition: e.Partition, Namespace: e.Namespace,
		Timeout: e.Timeout(), UserAgent: userAgent, Clock: clock, Meter: meter,
	})
}
