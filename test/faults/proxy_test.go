package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// proxy stands on a loopback port before an API server, whose certificate covers
// any port.
type proxy struct {
	*toxiproxy.Proxy
	url string
}

// newProxy starts a proxy, healthy at first, before the API server at an https URL.
func newProxy(t testing.TB, upstream string) *proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{Proxy: toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", strings.TrimPrefix(upstream, "https://"))}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	p.url = "https://" + p.Listen
	for _, stream := range []string{"upstream", "downstream"} {
		p.add(t, fields{"name": "forget_" + stream, "type": "forget", "stream": stream})
	}
	return p
}

func (p *proxy) add(t testing.TB, toxic fields) {
	t.Helper()
	if _, err := p.Toxics.AddToxicJson(jsonReader(t, toxic)); err != nil {
		t.Fatal(err)
	}
}

// silence makes the connections that are open now swallow all they get in either
// direction and stay open, as when a firewall forgot them. New ones work.
func (p *proxy) silence(t testing.TB) {
	t.Helper()
	now := time.Now().UnixNano()
	for _, stream := range []string{"upstream", "downstream"} {
		_, err := p.Toxics.UpdateToxicJson("forget_"+stream, jsonReader(t, fields{"attributes": fields{"older_than": now}}))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hang makes all connections, new ones too, be accepted and never answer.
func (p *proxy) hang(t testing.TB) {
	t.Helper()
	p.add(t, fields{"name": "hang", "type": "timeout", "stream": "downstream", "attributes": fields{"timeout": 0}})
}

// forget is a toxic that silences the links older than a moment, and lets others
// pass. toxiproxy's own act on all links alike.
type forget struct {
	OlderThan int64 `json:"older_than"` // in nanoseconds since 1970
}

// forgotten counts the links that were silenced.
var forgotten atomic.Int64

func init() { toxics.Register("forget", new(forget)) }

// NewState is when the link began: toxiproxy keeps it while toxics are updated.
func (f *forget) NewState() any { return time.Now().UnixNano() }

func (f *forget) Pipe(stub *toxics.ToxicStub) {
	if began, _ := stub.State.(int64); began >= f.OlderThan {
		new(toxics.NoopToxic).Pipe(stub)
		return
	}
	forgotten.Add(1)
	new(toxics.TimeoutToxic).Pipe(stub) // without a timeout it swallows for ever
}

func jsonReader(t testing.TB, value any) *bytes.Reader {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(fmt.Errorf("a toxic: %w", err))
	}
	return bytes.NewReader(encoded)
}
