// Package floor is the least that a login can cost: its TokenReview, posted by a
// client that does nothing else. It runs in a process of its own, so that what that
// client costs can be told from everything else.
package floor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"vault-plugin-auth-kubernetes/bench/internal/load"
)

// Command is the argument that makes a program call [Serve].
const Command = "floor"

// Setup is what the client needs. It is passed through a pipe, since arguments and
// the environment of a process can be read by others.
type Setup struct {
	Host       string   `json:"host"`
	CAPEM      string   `json:"ca_pem"`
	Credential string   `json:"credential"`
	Audience   string   `json:"audience"`
	Tokens     []string `json:"tokens"`
}

type order struct {
	Clients int       `json:"clients"`
	Plan    load.Plan `json:"plan"`
}

type answer struct {
	Result load.Result `json:"result"`
	Error  string      `json:"error,omitempty"`
}

// Serve reads a Setup and then orders for runs, one JSON document each, and answers
// each order with one. It ends with its input.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	decoder, encoder := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var setup Setup
	if err := decoder.Decode(&setup); err != nil {
		return err
	}
	reviews, err := newReviews(setup)
	if err != nil {
		return err
	}
	for {
		var next order
		if err := decoder.Decode(&next); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var done answer
		done.Result, err = load.Run(ctx, reviews.clients(next.Clients), next.Plan)
		if err != nil {
			done.Error = err.Error()
		}
		if err := encoder.Encode(done); err != nil {
			return err
		}
	}
}

type reviews struct {
	http   *http.Client
	url    string
	header http.Header
	bodies [][]byte
}

func newReviews(setup Setup) (*reviews, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(setup.CAPEM)) {
		return nil, errors.New("no certificate in the CA bundle")
	}
	if len(setup.Tokens) == 0 {
		return nil, errors.New("no tokens to review")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	// HTTP/2 or nothing: the cheapest way there is, and one connection for all.
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP2(true)
	r := &reviews{
		http: &http.Client{Transport: transport},
		url:  setup.Host + "/apis/authentication.k8s.io/v1/tokenreviews",
		header: http.Header{
			"Authorization": {"Bearer " + setup.Credential},
			"Content-Type":  {runtime.ContentTypeProtobuf},
			"Accept":        {runtime.ContentTypeProtobuf},
		},
	}
	for _, token := range setup.Tokens {
		body, err := runtime.Encode(form, &authv1.TokenReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
			Spec:     authv1.TokenReviewSpec{Token: token, Audiences: []string{setup.Audience}},
		})
		if err != nil {
			return nil, fmt.Errorf("cannot encode a TokenReview: %w", err)
		}
		r.bodies = append(r.bodies, body)
	}
	return r, nil
}

func (r *reviews) clients(n int) []load.Caller {
	callers := make([]load.Caller, n)
	for i := range callers {
		callers[i] = &load.Poster{
			Client: r.http,
			URL:    r.url,
			Header: r.header,
			Bodies: r.bodies,
			Status: http.StatusCreated,
			Check:  checkReview,
		}
	}
	return callers
}

// form is the one in which reviews cost both ends the least.
var form = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)

// checkReview reads whose the token is; without that it would be no review.
func checkReview(answer []byte) error {
	var review authv1.TokenReview
	if err := runtime.DecodeInto(form, answer, &review); err != nil {
		return errors.New("the answer is no TokenReview")
	}
	if !review.Status.Authenticated || review.Status.User.Username == "" {
		return errors.New("the token is not authenticated")
	}
	return nil
}
