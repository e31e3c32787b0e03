package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// idleTimeout is shorter than the servers', so that none closes a connection just as
// a request is sent on it.
const idleTimeout = 30 * time.Second

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 1 << 20

// Poster is a client that posts bodies which were encoded before the run.
type Poster struct {
	Client *http.Client
	URL    string
	Header http.Header
	Bodies [][]byte // the call n sends the body n modulo their number

	// Status and Check tell an answer that is a success. The error of Check repeats
	// nothing of the answer, which may hold a token.
	Status int
	Check  func(answer []byte) error

	answer bytes.Buffer
}

// Call posts the body for n and reads the answer to its end.
func (p *Poster) Call(ctx context.Context, n int64) error {
	body := p.Bodies[n%int64(len(p.Bodies))]
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = p.Header
	response, err := p.Client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	p.answer.Reset()
	if _, err := p.answer.ReadFrom(io.LimitReader(response.Body, maxAnswerBytes)); err != nil {
		return err
	}
	if response.StatusCode != p.Status {
		return fmt.Errorf("%s: status %d, %s", p.URL, response.StatusCode, complaint(p.answer.Bytes()))
	}
	if err := p.Check(p.answer.Bytes()); err != nil {
		return fmt.Errorf("%s: %w", p.URL, err)
	}
	return nil
}

// checkLogin takes no more time than it must, since it shares the processors with
// what is measured.
func checkLogin(answer []byte) error {
	if !bytes.Contains(answer, []byte(`"client_token":"`)) {
		return errors.New("the answer has no client_token")
	}
	return nil
}

// complaint is what Vault or the API server say of a request that they refused.
func complaint(answer []byte) string {
	var said struct {
		Errors  []string `json:"errors"`  // Vault's
		Message string   `json:"message"` // the API server's
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return "and no JSON"
	}
	return fmt.Sprintf("errors %q, message %q", said.Errors, said.Message)
}

// Logins returns clients that log in to Vault at a mount, each over a connection of
// its own that stays open.
func Logins(clients int, vaultAddr, mount string, bodies [][]byte) []Caller {
	callers := make([]Caller, clients)
	for i := range callers {
		callers[i] = &Poster{
			Client: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, IdleConnTimeout: idleTimeout}},
			URL:    vaultAddr + "/v1/auth/" + mount + "/login",
			Header: http.Header{"Content-Type": {"application/json"}},
			Bodies: bodies,
			Status: http.StatusOK,
			Check:  checkLogin,
		}
	}
	return callers
}

// Writer returns a client that writes the same to one path of Vault over and over.
func Writer(vaultAddr, token, path string, fields map[string]any) (Caller, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return &Poster{
		Client: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, IdleConnTimeout: idleTimeout}},
		URL:    vaultAddr + "/v1/" + path,
		Header: http.Header{"Content-Type": {"application/json"}, "X-Vault-Token": {token}},
		Bodies: [][]byte{body},
		Status: http.StatusNoContent,
		Check:  func([]byte) error { return nil },
	}, nil
}

// LoginBodies encodes logins such that every role and every token is used, and each
// role with the tokens in turn.
func LoginBodies(roles, tokens []string) ([][]byte, error) {
	bodies := make([][]byte, max(len(roles), len(tokens)))
	for i := range bodies {
		var err error
		bodies[i], err = json.Marshal(map[string]string{"role": roles[i%len(roles)], "jwt": tokens[i%len(tokens)]})
		if err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// Close closes the connections of clients.
func Close(callers []Caller) {
	for _, caller := range callers {
		if client := idle(caller); client != nil {
			client.CloseIdleConnections()
		}
	}
}
