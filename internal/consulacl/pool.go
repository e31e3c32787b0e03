package consulacl

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxConnections bounds the connections to a Consul. It allows a client 200, of all that
// comes from one address, and answers 429 beyond; other programs on the machine of Vault
// may ask it too. More requests than that wait for their turn.
const maxConnections = 64

// idleFor is how long a connection is kept that nobody uses.
const idleFor = 30 * time.Second

// poolKey is what connections have in common that any client may use: where they lead, and
// as whom the machine at the other end knows this one. Tokens go with each request.
type poolKey struct{ address, ca, cert, key, serverName string }

// pools are the connections of this process, which many mounts share: each with some of
// its own would be more than Consul allows.
var pools = struct {
	mu   sync.Mutex
	open map[poolKey]*pool
}{open: map[poolKey]*pool{}}

type pool struct {
	transport *http.Transport
	users     int
}

// takePool returns the connections of a key, to be given back.
func takePool(key poolKey, config *tls.Config) (transport *http.Transport, giveBack func()) {
	pools.mu.Lock()
	defer pools.mu.Unlock()
	p := pools.open[key]
	if p == nil {
		p = &pool{transport: newTransport(config)}
		pools.open[key] = p
	}
	p.users++
	return p.transport, sync.OnceFunc(func() {
		pools.mu.Lock()
		defer pools.mu.Unlock()
		if p.users--; p.users == 0 {
			delete(pools.open, key)
			p.transport.CloseIdleConnections()
		}
	})
}

// dialTimeout bounds connecting, whose end the request's own deadline may come before.
const dialTimeout = 30 * time.Second

func newTransport(config *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		MaxConnsPerHost:     maxConnections,
		MaxIdleConnsPerHost: maxConnections,
		IdleConnTimeout:     idleFor,
	}
}
