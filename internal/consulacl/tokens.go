package consulacl

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What is asked of a Consul, as errors and metrics name it.
const (
	OpCreate     = "create token"
	OpRead       = "read token"
	OpSelf       = "read own token"
	OpSettle     = "read new token"
	OpDelete     = "delete token"
	OpRole       = "read role"
	OpPolicy     = "read policy"
	OpList       = "list tokens"
	OpAgent      = "read agent"
	OpDatacenter = "list datacenters"
	OpMay        = "read permissions"
)

// Ops are all that there are.
var Ops = []string{OpCreate, OpRead, OpSelf, OpSettle, OpDelete, OpRole, OpPolicy, OpList, OpAgent, OpDatacenter, OpMay}

// Mint makes a token. Whatever the error, nothing is left of it: a request that was not
// answered is looked up, and what cannot be looked up is taken back by and by.
func (c *Client) Mint(ctx context.Context, n NewToken) (*Token, error) {
	body := newTokenBody{
		AccessorID: n.AccessorID, SecretID: n.SecretID, Description: n.Description, Local: n.Local,
		Namespace: n.Namespace, Partition: c.options.Partition, Privileges: n.Privileges,
	}
	if n.TTL != 0 {
		body.ExpirationTTL = n.TTL.String()
	}
	if body.Namespace == "" {
		body.Namespace = c.options.Namespace
	}
	made := &Token{}
	err := c.do(ctx, request{
		op: OpCreate, method: http.MethodPut, path: []string{"acl", "token"}, body: body, into: made, secrets: []string{n.SecretID},
	})
	if err == nil && !made.is(n) {
		// Something is there, and it is not what was asked for.
		err = &Error{Op: OpCreate, Failure: Malformed, Err: errOtherToken}
	}
	if err != nil && (undecided(err) || isUsed(err)) {
		made, err = c.lookUp(ctx, n, err)
	}
	if err != nil {
		return nil, err
	}
	c.meter.Minted.Add(1)
	if err := c.settle(ctx, made); err != nil {
		c.Undo(made.AccessorID)
		return nil, err
	}
	return made, nil
}

var errOtherToken = errors.New("the answer is about another token than the request")

// is tells whether the token is the one that was asked for, and has an end.
func (t *Token) is(n NewToken) bool {
	secret := t.SecretID != "" && (n.SecretID == "" || t.SecretID == n.SecretID)
	return strings.EqualFold(t.AccessorID, n.AccessorID) && secret && (t.ExpirationTime != nil) == (n.TTL != 0) && t.Local == n.Local
}

// lookUp asks what became of a request to make a token that nobody answered. If the token
// is there, it is good; otherwise it may yet come, and is taken back then.
func (c *Client) lookUp(ctx context.Context, n NewToken, failed error) (*Token, error) {
	if ctx.Err() == nil {
		found, err := c.read(ctx, n.AccessorID)
		if err == nil && found.is(n) {
			return found, nil
		}
	}
	c.Undo(n.AccessorID)
	return nil, failed
}

// Undo takes back a token that nobody got, by and by.
func (c *Client) Undo(accessor string) { c.undo.add(accessor) }

// A token that was just made may be unknown to a server that is not the leader for a
// moment, and to whoever asks that one.
const (
	settleFor   = 2 * time.Second
	settleEvery = 25 * time.Millisecond
)

// settle waits until whichever server answers knows a new token, for a moment at most:
// one that is slow is no reason to refuse. The error is that of the context.
func (c *Client) settle(ctx context.Context, t *Token) error {
	until := c.clock.Now().Add(settleFor)
	for wait := settleEvery; ; wait *= 2 {
		err := c.do(ctx, request{
			op: OpSettle, method: http.MethodGet, path: []string{"acl", "token", "self"},
			query: url.Values{"stale": {""}}, token: t.SecretID, into: &Token{},
		})
		if ctx.Err() != nil {
			return &Error{Op: OpSettle, Failure: Canceled, Err: ctx.Err()}
		}
		if FailureOf(err) != Unknown && FailureOf(err) != NotFound || !c.clock.Now().Add(wait).Before(until) {
			return nil
		}
		if err := c.clock.Sleep(ctx, wait); err != nil {
			return &Error{Op: OpSettle, Failure: Canceled, Err: err}
		}
	}
}

// Read looks a token up by its accessor.
func (c *Client) Read(ctx context.Context, accessor string) (*Token, error) {
	return c.read(ctx, accessor)
}

func (c *Client) read(ctx context.Context, accessor string) (*Token, error) {
	t := &Token{}
	err := c.do(ctx, request{op: OpRead, method: http.MethodGet, path: []string{"acl", "token", accessor}, into: t})
	if err = c.absent(ctx, err); err != nil {
		return nil, err
	}
	if !strings.EqualFold(t.AccessorID, accessor) {
		return nil, &Error{Op: OpRead, Failure: Malformed, Err: errOtherToken}
	}
	return t, nil
}

// absent tells an error about what was asked for from one about the plugin's own token:
// Consul says of both that it does not find the ACL.
func (c *Client) absent(ctx context.Context, err error) error {
	var failed *Error
	if !errors.As(err, &failed) || failed.Failure != Unknown {
		return err
	}
	_, ownErr := c.Self(ctx)
	if ownErr == nil {
		return &Error{Op: failed.Op, Failure: NotFound, Status: failed.Status, Err: failed.Err}
	}
	if FailureOf(ownErr).Outage() {
		return ownErr
	}
	return err
}

// Self is the plugin's own token.
func (c *Client) Self(ctx context.Context) (*Token, error) {
	t := &Token{}
	return t, c.do(ctx, request{op: OpSelf, method: http.MethodGet, path: []string{"acl", "token", "self"}, into: t})
}

// Revoke takes a token back. One that is gone is taken back already.
func (c *Client) Revoke(ctx context.Context, accessor string) error {
	err := c.remove(ctx, accessor)
	if err == nil {
		c.meter.Revoked.Add(1)
	}
	return err
}

// RevokeWith is Revoke with another token in place of the plugin's own.
func (c *Client) RevokeWith(ctx context.Context, token, accessor string) error {
	err := c.do(ctx, request{op: OpDelete, method: http.MethodDelete, path: []string{"acl", "token", accessor}, token: token})
	if FailureOf(err) == NotFound {
		return nil
	}
	return err
}

func (c *Client) remove(ctx context.Context, accessor string) error {
	err := c.do(ctx, request{op: OpDelete, method: http.MethodDelete, path: []string{"acl", "token", accessor}})
	if err = c.absent(ctx, err); FailureOf(err) == NotFound {
		return nil
	}
	return err
}
