package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// certificateWarning is how long before its end a certificate is worth a warning.
const certificateWarning = 14 * 24 * time.Hour

// Commands for whoever has a kubectl that is set up for the cluster.
const (
	findHost = `"$(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')"`
	findCA   = "kubectl config view --raw --minify --flatten -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d > ca.crt"
)

// checkWay looks at the way to the API server, and tells whether it leads there.
func (c *checker) checkWay(ctx context.Context) bool {
	probe := c.cluster.Client.Probe(ctx)
	c.note(checkReachable, c.reachable(probe))
	c.note(checkTLS, c.tls(probe))
	return probe.Err == nil
}

func (c *checker) reachable(p *kube.Probe) finding {
	asked, setting, remedy := p.Target, "kubernetes_host", c.patch("kubernetes_host="+findHost)
	if p.Proxy != "" {
		asked, setting = "the proxy "+p.Proxy, "proxy_url"
		remedy = shell.Commented(c.patch("proxy_url=http://HOST:PORT"), "without proxy_url it is HTTPS_PROXY and NO_PROXY of the Vault process that count")
	}
	timedOut := isTimeout(p.Err)
	switch {
	case p.Stage == kube.Arrived, p.Stage == kube.Handshake:
		return passed("%s accepts connections%s", p.Target, wayTaken(p))
	case p.Stage == kube.Resolving && timedOut:
		return failed("check the resolver of the machine that Vault runs on", "the resolver does not answer in time about the name of %s", asked)
	case p.Stage == kube.Resolving:
		return failed(remedy, "the name in %s does not resolve: %v", setting, cause(p.Err))
	case p.Stage == kube.Tunnelling && p.ProxyAnswer != "":
		return failed(remedy, "%s answers %q when asked to connect to %s", asked, p.ProxyAnswer, p.Target)
	case p.Stage == kube.Tunnelling:
		return failed(remedy, "%s was reached and makes no connection to %s: %v", asked, p.Target, cause(p.Err))
	case errors.Is(p.Err, syscall.ECONNREFUSED):
		return failed(remedy, "%s refuses the connection: nothing listens on that port%s", asked, resolvedTo(p))
	case timedOut:
		return failed(shell.Commented(remedy, "or let firewalls and network policies pass connections from Vault"),
			"%s does not answer within %s%s: the machine is down, or a firewall drops the connection", asked, c.cluster.Config.Timeout(), resolvedTo(p))
	}
	return failed(remedy, "no connection to %s%s: %v", asked, resolvedTo(p), cause(p.Err))
}

// wayTaken says by which address, and how quickly.
func wayTaken(p *kube.Probe) string {
	took := p.Took.Round(100 * time.Microsecond)
	if p.Proxy != "" {
		return fmt.Sprintf(", through the proxy %s (%s, after %s)", p.Proxy, p.Remote, took)
	}
	return fmt.Sprintf(" (%s, after %s)", p.Remote, took)
}

func resolvedTo(p *kube.Probe) string {
	if len(p.Addresses) == 0 {
		return ""
	}
	return fmt.Sprintf(" (its name resolves to %s)", scrub.Few(p.Addresses))
}

// cause is what an error of a probe is about, without its classification.
func cause(err error) error {
	if failed := (*kube.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

func isTimeout(err error) bool {
	var failed *kube.Error
	return errors.As(err, &failed) && failed.Failure == kube.Timeout
}

func (c *checker) tls(p *kube.Probe) finding {
	switch {
	case p.Stage != kube.Handshake && p.Stage != kube.Arrived:
		return skipped("there is no connection")
	case p.Certificate == nil && p.Stage == kube.Arrived:
		return warned(c.patch("kubernetes_host=https://HOST:PORT", "kubernetes_ca_cert=@ca.crt"),
			"kubernetes_host is http: tokens are sent in the clear, and whoever answers is believed")
	case p.Certificate == nil:
		return c.noTLS(p)
	}
	if problems, remedy := c.certificateProblems(p.Certificate); len(problems) > 0 {
		shown := describe(p.Certificate.Leaf)
		if p.Certificate.Trust != nil {
			shown = "by its own words, which nobody vouches for, " + shown
		}
		return failed(remedy, "%s; %s", strings.Join(problems, "; and "), shown)
	}
	if p.Err != nil { // trusted, and something else went wrong
		return failed("look at the API server's logs", "the handshake fails: %v; %s", cause(p.Err), describe(p.Certificate.Leaf))
	}
	if left := p.Certificate.Leaf.NotAfter.Sub(c.mount.Now()); left < certificateWarning {
		return warned(shell.Commented(renewCertificate, onControlPlane), "the certificate ends in %.1f days; %s", left.Hours()/24, describe(p.Certificate.Leaf))
	}
	return passed("the certificate is trusted by %s; %s", c.caSource(), describe(p.Certificate.Leaf))
}

const (
	renewCertificate = "kubeadm certs renew apiserver"
	onControlPlane   = "on each control plane node, then restart the API server; other distributions have commands of their own"
)

// noTLS tells apart what listens where no certificate was shown.
func (c *checker) noTLS(p *kube.Probe) finding {
	remedy := shell.Commented(c.patch("kubernetes_host="+findHost), "the port of the API server is usually 6443 or 443")
	var record tls.RecordHeaderError
	switch {
	case errors.As(p.Err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return failed(remedy, "what listens at %s speaks no TLS: it answers in plain HTTP", p.Target)
	case errors.As(p.Err, &record):
		return failed(remedy, "what listens at %s speaks no TLS", p.Target)
	case isTimeout(p.Err):
		return failed(shell.Commented(c.patch("kubernetes_host="+findHost), "the port of the API server is usually 6443 or 443; if logins got in before, it hangs: look at its own health"),
			"what listens at %s takes the connection and does not answer the TLS handshake", p.Target)
	case errors.Is(p.Err, io.EOF), errors.Is(p.Err, io.ErrUnexpectedEOF), errors.Is(p.Err, syscall.ECONNRESET), errors.Is(p.Err, net.ErrClosed):
		return failed(remedy, "what listens at %s closes the connection during the TLS handshake", p.Target)
	}
	return failed(remedy, "what listens at %s refuses the TLS handshake: %v", p.Target, cause(p.Err))
}

// certificateProblems are all that keep a certificate from being trusted, with what
// to do about each.
func (c *checker) certificateProblems(certificate *kube.Certificate) (problems []string, remedy string) {
	var commands, comments []string
	add := func(command, comment, format string, args ...any) {
		problems, commands = append(problems, fmt.Sprintf(format, args...)), append(commands, command)
		if comment != "" {
			comments = append(comments, comment)
		}
	}
	now, leaf := c.mount.Now(), certificate.Leaf
	switch {
	case now.After(leaf.NotAfter):
		add(renewCertificate, onControlPlane, "the API server's certificate expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		add(compareClocks, setClocks, "the API server's certificate is not valid before %s: is Vault's clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if certificate.Trust != nil {
		add(findCA+" && "+c.patch("kubernetes_ca_cert=@ca.crt"), "",
			"wrong CA: %s did not sign the API server's certificate (%v)", c.caSource(), certificate.Trust)
	}
	if certificate.Name != nil {
		command, comment := c.nameRemedy(certificate)
		add(command, comment, "wrong server name: the API server's certificate is not for %q", certificate.ServerName)
	}
	commands = slices.DeleteFunc(commands, func(command string) bool { return command == "" })
	remedy = strings.Join(commands, " && ")
	if len(comments) > 0 {
		remedy = shell.Commented(remedy, "%s", strings.Join(comments, "; "))
	}
	return problems, remedy
}

// nameRemedy is what to do about a certificate that is for other names. One of them is
// offered only where a CA that this mount trusts vouches for them: of any other
// certificate, to ask for its name is to trust whoever made it.
func (c *checker) nameRemedy(certificate *kube.Certificate) (command, comment string) {
	if certificate.Trust != nil {
		return "", "no CA of this mount vouches for the names of that certificate: take none of them over"
	}
	comment = "or use one of its names in kubernetes_host"
	if c.cluster.PodCA == "" && c.cluster.Config.CACert == "" {
		comment = "only if that is a name of your cluster's: public CAs vouch for anybody's"
	}
	names := slices.DeleteFunc(certificateNames(certificate.Leaf), func(name string) bool { return kube.CheckServerName(name) != nil })
	if len(names) == 0 {
		return c.patch("tls_server_name=NAME"), comment
	}
	return c.patch("tls_server_name=" + shell.Word(names[0])), comment
}

// describe is a certificate in short, by its own words.
func describe(leaf *x509.Certificate) string {
	return fmt.Sprintf("its subject is %q, its issuer %q, its names are %s; it ends at %s",
		leaf.Subject, leaf.Issuer, scrub.Few(certificateNames(leaf)), leaf.NotAfter.UTC().Format(time.RFC3339))
}

// certificateNames are the names and addresses that a certificate is for.
func certificateNames(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, address := range leaf.IPAddresses {
		if text := address.String(); !slices.Contains(names, text) {
			names = append(names, text)
		}
	}
	return names
}
