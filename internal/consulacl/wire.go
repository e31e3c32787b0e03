package consulacl

import (
	"crypto/rand"
	"fmt"
	"time"
)

// Link is a role or a policy that a token has.
type Link struct {
	ID   string `json:",omitempty"`
	Name string
}

// ServiceIdentity lets a token register a service and find others.
type ServiceIdentity struct {
	ServiceName string
	Datacenters []string `json:",omitempty"`
}

// NodeIdentity lets a token register a node.
type NodeIdentity struct {
	NodeName   string
	Datacenter string
}

// TemplatedPolicy is a policy of Consul's own making, such as builtin/service. Consul has
// them from 1.17 on.
type TemplatedPolicy struct {
	TemplateName      string
	TemplateVariables *TemplateVariables `json:",omitempty"`
	Datacenters       []string           `json:",omitempty"`
}

// TemplateVariables are what a templated policy is made for.
type TemplateVariables struct{ Name string }

// Privileges are what a token may do. A token without any is of no use.
type Privileges struct {
	Policies          []Link            `json:",omitempty"`
	Roles             []Link            `json:",omitempty"`
	ServiceIdentities []ServiceIdentity `json:",omitempty"`
	NodeIdentities    []NodeIdentity    `json:",omitempty"`
	TemplatedPolicies []TemplatedPolicy `json:",omitempty"`
}

// Empty tells whether there are none.
func (p Privileges) Empty() bool {
	return len(p.Policies)+len(p.Roles)+len(p.ServiceIdentities)+len(p.NodeIdentities)+len(p.TemplatedPolicies) == 0
}

// NewToken is a token that is to be made. Its accessor is chosen by whoever asks, so that
// a request that nobody answered can be looked up, or undone.
type NewToken struct {
	AccessorID string
	// SecretID may be chosen too; empty lets Consul choose.
	SecretID    string
	Description string
	Local       bool
	// TTL is how long the token is good; 0 for ever, which is for the plugin's own alone.
	TTL time.Duration
	// Namespace is for Consul Enterprise; empty elsewhere, where an empty one that was
	// named would be refused.
	Namespace string
	Privileges
}

// newTokenBody is what goes over the wire.
type newTokenBody struct {
	AccessorID    string
	SecretID      string `json:",omitempty"`
	Description   string
	Local         bool
	ExpirationTTL string `json:",omitempty"`
	Namespace     string `json:",omitempty"`
	Partition     string `json:",omitempty"`
	Privileges
}

// Token is one that Consul has. SecretID is the credential itself.
type Token struct {
	AccessorID     string
	SecretID       string
	Description    string
	Local          bool
	AuthMethod     string     `json:",omitempty"`
	ExpirationTime *time.Time `json:",omitempty"`
	CreateTime     time.Time
	Hash           string `json:",omitempty"`
	CreateIndex    uint64
	ModifyIndex    uint64
	Namespace      string `json:",omitempty"`
	Partition      string `json:",omitempty"`
	Privileges
}

// NewUUID is a random UUID, which is what accessors are.
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return FormatUUID(b)
}

// FormatUUID writes 16 bytes as a UUID.
func FormatUUID(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
