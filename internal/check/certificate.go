package check

import (
	"crypto/x509"
	"time"

	"vault-plugin-auth-kubernetes/internal/shell"
)

// hasReviewer tells whether anybody but the login's own token asks the API server.
func (c *checker) hasReviewer() bool { return c.credential != "" || c.byCertificate() }

// byCertificate tells whether the reviewer is known by one.
func (c *checker) byCertificate() bool { return c.cluster.Config.HasClientCertificate() }

// newCertificate puts another one in the place of the reviewer's.
func (c *checker) newCertificate() string {
	return shell.Commented(c.patch("kubernetes_client_cert=@client.crt", "kubernetes_client_key=@client.key"),
		"with one that a CA in --client-ca-file of the API server signed, such as by: kubectl create -f CERTIFICATESIGNINGREQUEST")
}

func (c *checker) leaf() *x509.Certificate {
	pair, err := c.cluster.Config.ClientCertificate()
	if err != nil {
		return nil // there would be no client
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// clientCertificate looks at when the reviewer's certificate is good.
func (c *checker) clientCertificate() finding {
	leaf := c.leaf()
	if leaf == nil {
		return failed(c.newCertificate(), "kubernetes_client_cert cannot be read")
	}
	at := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch left := leaf.NotAfter.Sub(c.mount.Now()).Round(time.Second); {
	case left <= 0:
		return failed(c.newCertificate(), "kubernetes_client_cert ended at %s", at)
	case c.mount.Now().Before(leaf.NotBefore):
		return failed(c.newCertificate(), "kubernetes_client_cert is not good before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	case left < certificateWarning:
		return warned(c.newCertificate(), "kubernetes_client_cert ends in %s, at %s, and nobody renews it", left, at)
	}
	return passed("kubernetes_client_cert ends at %s; nobody renews it", at)
}

// rejectedCertificate finds what a rejected certificate says of itself that explains it.
func (c *checker) rejectedCertificate() finding {
	const rejects = "the API server rejects kubernetes_client_cert (401 Unauthorized)"
	leaf := c.leaf()
	switch {
	case leaf == nil:
		return failed(c.newCertificate(), "%s", rejects)
	case c.mount.Now().Before(leaf.NotBefore):
		return failed(c.newCertificate(), "%s: it is not good before %s", rejects, leaf.NotBefore.UTC().Format(time.RFC3339))
	case c.mount.Now().After(leaf.NotAfter):
		return failed(c.newCertificate(), "%s: it ended at %s", rejects, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return failed(c.newCertificate(), "%s: it has not ended, so no CA that the API server takes clients of signed it, or it is none of a client; it says that it is %q, signed by %q",
		rejects, leaf.Subject.String(), leaf.Issuer.String())
}
