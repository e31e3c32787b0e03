package check

import (
	"context"
	"errors"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/shell"
	"vault-plugin-auth-kubernetes/internal/token"
)

// clockWarning is how far the clocks may be apart without a word. Beyond
// token.Leeway a login is refused early although the API server would have let it in.
const clockWarning = 30 * time.Second

const (
	compareClocks = "date -u"
	setClocks     = "on both machines, and let NTP set both clocks; see chronyc tracking or timedatectl"
)

// serverVersion is what the API server says it is.
type serverVersion struct {
	gitVersion string
	seen       kube.Observation
	err        error
}

// checkServer asks what the API server is, and what time it is there.
func (c *checker) checkServer(context.Context) {
	version := c.version()
	gitVersion, seen, err := version.gitVersion, version.seen, version.err
	took := seen.Took.Round(100 * time.Microsecond)
	failure, remedy := failureOf(err)
	switch {
	case err == nil:
		c.note(checkServer, passed("Kubernetes %s, answered after %s", gitVersion, took))
	case failure == kube.Forbidden && c.hostPath() != "":
		c.note(checkServer, failed(c.patch("kubernetes_host="+findHost),
			"it refuses the path %q, with which kubernetes_host ends: is that the base of a Kubernetes API?", c.hostPath()))
	case failure == kube.Unauthorized, failure == kube.Forbidden:
		c.note(checkServer, passed("it answered after %s, and tells its version to nobody who may not ask", took))
	default:
		c.note(checkServer, failed(remedy, "%v", err))
	}
	c.note(checkClock, c.clock(seen))
}

// hostPath is the path of kubernetes_host, which few have.
func (c *checker) hostPath() string {
	host, err := kube.ParseHost(c.cluster.Config.Host)
	if err != nil {
		return ""
	}
	return host.Path
}

// vouchedFor tells whether what the API server says is its own: over plain HTTP it is
// whoever answers who says it, and has no place in a command to be pasted.
func (c *checker) vouchedFor() bool {
	host, err := kube.ParseHost(c.cluster.Config.Host)
	return err == nil && host.Scheme == "https"
}

// clock compares the clocks of the API server and of this machine, as precisely as
// whole seconds and the way of the answer allow.
func (c *checker) clock(seen kube.Observation) finding {
	if seen.Date.IsZero() {
		return skipped("the API server did not tell the time")
	}
	// Date is cut to seconds, and was written somewhere between request and answer.
	skew := seen.Date.Add(time.Second / 2).Sub(seen.At.Add(-seen.Took / 2))
	remedy := shell.Commented(compareClocks, setClocks)
	direction := "ahead of"
	if skew < 0 {
		skew, direction = -skew, "behind"
	}
	certain := skew - time.Second/2 - seen.Took/2
	skew = skew.Round(time.Second)
	switch {
	case certain > token.Leeway:
		return failed(remedy, "the API server's clock is %s %s Vault's; tokens are refused as expired or not valid yet beyond %s", skew, direction, token.Leeway)
	case certain > clockWarning:
		return warned(remedy, "the API server's clock is %s %s Vault's; beyond %s logins are refused", skew, direction, token.Leeway)
	}
	if skew <= 2*time.Second { // less cannot be told
		return passed("the clocks of the API server and of Vault agree")
	}
	return passed("the API server's clock is %s %s Vault's, which is allowed for", skew, direction)
}

// failureOf is how a request to the Kubernetes API failed, and what to do about it.
func failureOf(err error) (kube.Failure, string) {
	var failed *kube.Error
	if errors.As(err, &failed) {
		return failed.Failure, failed.Remedy()
	}
	return "", ""
}
