package testbed

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ClientCertificate says whom a certificate is of, and when it is good.
type ClientCertificate struct {
	User      string
	Groups    []string
	NotBefore time.Time // default: an hour ago
	NotAfter  time.Time // default: in a year
}

// clientCA is one that the API server takes clients of, beside the one that envtest made and
// whose key it keeps to itself.
type clientCA struct {
	sync.Mutex
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// SignClient makes a certificate that a CA of the API server's --client-ca-file signed, and
// its key, in PEM.
func (c *Cluster) SignClient(ctx context.Context, of ClientCertificate) (certificatePEM, keyPEM string, err error) {
	c.clients.Lock()
	defer c.clients.Unlock()
	if c.clients.key == nil {
		if err := c.addClientCA(ctx); err != nil {
			return "", "", fmt.Errorf("cannot add a CA for clients: %w", err)
		}
	}
	return c.clients.sign(of)
}

func (ca *clientCA) sign(of ClientCertificate) (certificatePEM, keyPEM string, err error) {
	if of.NotAfter.IsZero() {
		of.NotAfter = time.Now().Add(365 * 24 * time.Hour)
	}
	if of.NotBefore.IsZero() {
		of.NotBefore = time.Now().Add(-time.Hour)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return "", "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: of.User, Organization: of.Groups},
		NotBefore: of.NotBefore, NotAfter: of.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	return encodePEM("CERTIFICATE", der), encodePEM("PRIVATE KEY", keyDER), err
}

// addClientCA puts another CA into the file that the API server follows, and waits until it
// takes clients of it.
func (c *Cluster) addClientCA(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "testbed-clients"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-10 * 365 * 24 * time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	ca := &clientCA{key: key}
	if ca.certificate, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	path := filepath.Join(c.apiServerDir(), "client-cert-auth-ca.crt") // as envtest calls it
	known, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	next := append(known, encodePEM("CERTIFICATE", der)...)
	// Whoever reads it meanwhile reads the one or the other, and no half.
	if err := errors.Join(os.WriteFile(path+".next", next, 0o600), os.Rename(path+".next", path)); err != nil {
		return err
	}
	if err := c.awaitClients(ctx, ca); err != nil {
		return err
	}
	c.clients.certificate, c.clients.key = ca.certificate, ca.key
	return nil
}

func (c *Cluster) awaitClients(ctx context.Context, ca *clientCA) error {
	certificate, key, err := ca.sign(ClientCertificate{User: "testbed-probe"})
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(c.CAPEM))
	// A server says of whom it takes clients when a connection is made, so each look is on
	// another one.
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}}
	return poll(ctx, "the API server to take clients of another CA", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Host+"/api", nil) // not for system:anonymous
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			err = errors.New(response.Status)
		}
		return errors.Join(err, response.Body.Close())
	})
}
