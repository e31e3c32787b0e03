package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// front is what may stand before an API server: it passes requests on, and shows a
// certificate and a clock of its own.
type front struct {
	url   string
	caPEM string
}

// frontOptions are what is wrong with a front.
type frontOptions struct {
	name     string           // that the certificate is for; by default the address
	notAfter time.Time        // by default in a day
	ahead    time.Duration    // of its clock
	answer   http.HandlerFunc // in place of the API server; nil passes requests on
}

func newFront(t testing.TB, c *cluster, o frontOptions) front {
	t.Helper()
	upstream := sure(url.Parse(c.Host))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(c.CAPEM))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	var handler http.Handler = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport: transport,
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(o.ahead).UTC().Format(http.TimeFormat))
			return nil
		},
	}
	if o.answer != nil {
		handler = o.answer
	}
	server := httptest.NewUnstartedServer(handler)
	certificate, caPEM := frontCertificate(o)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are what it is for
	server.StartTLS()
	t.Cleanup(server.Close)
	return front{url: server.URL, caPEM: caPEM}
}

// frontCertificate is a certificate and the CA that signed it.
func frontCertificate(o frontOptions) (certificate tls.Certificate, caPEM string) {
	if o.notAfter.IsZero() {
		o.notAfter = time.Now().Add(365 * 24 * time.Hour)
	}
	caKey := sure(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "front-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(2 * 365 * 24 * time.Hour),
	}
	caDER := sure(x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey))
	key := sure(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "front"}, NotBefore: o.notAfter.Add(-400 * 24 * time.Hour), NotAfter: o.notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if o.name == "" {
		leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	} else {
		leaf.DNSNames = []string{o.name}
	}
	der := sure(x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, encodePEM("CERTIFICATE", caDER)
}
