package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"vault-plugin-auth-kubernetes/internal/pemtext"
)

// The fields of a reviewer that is known by a certificate.
const (
	clientCertField = "kubernetes_client_cert"
	clientKeyField  = "kubernetes_client_key"
)

// NeverRead are the fields that no read returns.
func NeverRead() []string {
	return []string{"token_reviewer_jwt", clientCertField, clientKeyField}
}

// HasClientCertificate tells whether the reviewer is known by a certificate.
func (c *Entry) HasClientCertificate() bool { return c.ClientCert != "" }

// ClientCertificate is that of the reviewer; nil if there is none.
func (c *Entry) ClientCertificate() (*tls.Certificate, error) {
	if !c.HasClientCertificate() {
		return nil, nil
	}
	pair, err := tls.X509KeyPair([]byte(c.ClientCert), []byte(c.ClientKey))
	if err != nil {
		return nil, errClientPair
	}
	return &pair, nil
}

// ClientUser is the user that an API server takes the reviewer's certificate for; "" if there
// is none, or it names nobody.
func (c *Entry) ClientUser() string {
	pair, err := c.ClientCertificate()
	if err != nil || pair == nil {
		return ""
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return ""
	}
	return leaf.Subject.CommonName
}

// errClientPair stands for what crypto/tls says, which may be about the key.
var errClientPair = errors.New(clientCertField + " and " + clientKeyField + " do not belong together; a renewed certificate is written with its key, and the one of the reviewer comes before those of its CAs")

// takeClientTexts reads a certificate and its key as people have them.
func (c *Entry) takeClientTexts(before *Entry) (err error) {
	if c.ClientCert != "" && c.ClientCert != before.ClientCert {
		bundle, err := pemtext.Certificates(c.ClientCert)
		switch {
		case errors.Is(err, pemtext.ErrNone):
			return errors.New(clientCertField + ": there is no certificate in it" + fileHint(clientCertField, c.ClientCert, printsClient("certificate")))
		case err != nil:
			return errors.New(clientCertField + ": " + err.Error())
		}
		c.ClientCert = bundle
	}
	if c.ClientKey != "" && c.ClientKey != before.ClientKey {
		key, err := pemtext.PrivateKey(c.ClientKey)
		switch {
		case errors.Is(err, pemtext.ErrNoPrivateKey):
			return errors.New(clientKeyField + ": " + err.Error() + fileHint(clientKeyField, c.ClientKey, printsClient("key")))
		case err != nil:
			return errors.New(clientKeyField + ": " + err.Error())
		}
		c.ClientKey = key
	}
	return nil
}

// validateClientCertificate refuses half a credential, and two reviewers of which nobody
// could say who asks.
func (c *Entry) validateClientCertificate() error {
	switch {
	case c.ClientCert == "" && c.ClientKey == "":
		return nil
	case c.ClientCert == "" || c.ClientKey == "":
		return errors.New(clientCertField + " and " + clientKeyField + " need each other")
	case c.HasReviewer():
		return errors.New(clientCertField + " and token_reviewer_jwt are two reviewers; name one of them and take the other back: " +
			`token_reviewer_jwt="", or ` + clientCertField + `="" ` + clientKeyField + `=""`)
	}
	_, err := c.ClientCertificate()
	return err
}
