package consulacl

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Tokens are all that Consul has, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var tokens []Token
	return tokens, c.do(ctx, request{op: OpList, method: http.MethodGet, path: []string{"acl", "tokens"}, into: &tokens})
}

// Agent is what an agent tells of itself.
type Agent struct {
	Config struct{ Datacenter, Version string }
}

// Agent asks the agent at the address what it is, which needs the permission to.
func (c *Client) Agent(ctx context.Context) (*Agent, error) {
	a := &Agent{}
	return a, c.do(ctx, request{op: OpAgent, method: http.MethodGet, path: []string{"agent", "self"}, into: a})
}

// Datacenter is the one that tokens are made in. The server's own is asked for once.
func (c *Client) Datacenter(ctx context.Context) (string, error) {
	if c.options.Datacenter != "" {
		return c.options.Datacenter, nil
	}
	c.placeMu.Lock()
	known := c.place
	c.placeMu.Unlock()
	if known != "" {
		return known, nil
	}
	name, err := c.askDatacenter(ctx)
	if err != nil {
		return "", err
	}
	c.placeMu.Lock()
	c.place = name
	c.placeMu.Unlock()
	return name, nil
}

// askDatacenter needs no permission where there is one datacenter.
func (c *Client) askDatacenter(ctx context.Context) (string, error) {
	var all []string
	err := c.do(ctx, request{op: OpDatacenter, method: http.MethodGet, path: []string{"catalog", "datacenters"}, into: &all})
	if err != nil || len(all) == 1 {
		return strings.Join(all, ""), err
	}
	agent, err := c.Agent(ctx)
	if err == nil && agent.Config.Datacenter == "" {
		err = &Error{Op: OpAgent, Failure: Malformed, Err: errors.New("it does not say which datacenter it is in")}
	}
	if err != nil {
		return "", err
	}
	return agent.Config.Datacenter, nil
}

// MayWriteACLs tells whether the plugin's own token has the permission that it needs.
func (c *Client) MayWriteACLs(ctx context.Context) (bool, error) {
	type permission struct {
		Resource, Access string
		Allow            bool `json:",omitempty"`
	}
	var may []permission
	err := c.do(ctx, request{
		op: OpMay, method: http.MethodPost, path: []string{"internal", "acl", "authorize"},
		body: []permission{{Resource: "acl", Access: "write"}}, into: &may,
	})
	if err == nil && len(may) != 1 {
		err = &Error{Op: OpMay, Failure: Malformed, Err: errOtherToken}
	}
	return err == nil && may[0].Allow, err
}
