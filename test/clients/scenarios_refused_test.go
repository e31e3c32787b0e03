package clients

import (
	"fmt"
	"testing"
	"time"
)

// denied is a login that no bound of the role lets in. A client that stays goes on trying,
// and is in as soon as the role lets it.
func denied(t *testing.T, c client) string {
	m := newMount(t, settings{})
	m.role(byRules, fields{"selector": `serviceaccount.name == "somebody-else"`})
	if c.once != nil {
		return tried(t, c, m, "denied")
	}
	p := c.keep(t, m.place(byRules))
	if gaveUp(t, m, p, "denied", 1) {
		return "ends"
	}
	m.role(byRules, fields{"selector": ""})
	m.await("let in", grantedByRule)
	return "tries again"
}

// unreachable is an API server that cannot be asked, and comes back for those that wait.
func unreachable(t *testing.T, c client) string {
	front := newFront(t)
	m := newMount(t, settings{host: front.url, caPEM: front.caPEM})
	front.set(refusing)
	if c.once != nil {
		return tried(t, c, m, "could_not_ask")
	}
	p := c.keep(t, m.place(byRules))
	if gaveUp(t, m, p, "could_not_ask", 3) {
		return counted("ends", m.logins()["could_not_ask"])
	}
	front.set(passing)
	m.await("let in", grantedByRule)
	return "tries again"
}

// tried has the client fail once, and says how it names the failure, and how many logins
// that took.
func tried(t *testing.T, c client, m *mount, outcome string) string {
	t.Helper()
	before := m.logins()[outcome]
	said := c.once(t, m.place(byRules))
	if said.Error == "" {
		t.Fatalf("it logged in: %+v", said)
	}
	return counted(said.Error, m.logins()[outcome]-before)
}

// counted says what became of a client and how many logins that took, if it is not one.
func counted(what string, tries int) string {
	if tries == 1 {
		return what
	}
	return fmt.Sprintf("%s; %d tries", what, tries)
}

// gaveUp waits until a client that stays was refused more often than one login of a client is, or
// has ended.
func gaveUp(t *testing.T, m *mount, p *process, outcome string, ofOneLogin int) bool {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		if p.ended() {
			return true
		}
		if m.logins()[outcome] > ofOneLogin {
			return false
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("neither tried again nor ended: %v", m.logins())
	return false
}

// wrapped asks for the token in a wrapped answer, of which Vault tells the accessor.
func wrapped(t *testing.T, c client) string {
	m := newMount(t, settings{})
	p := m.place(byRules)
	p.wrapped = true
	if c.once == nil {
		c.keep(t, p)
		m.await("had by unwrapping", grantedByRule)
		unwrapSink(t, m, p)
		return "yes"
	}
	said := c.once(t, p)
	if said.Accessor == "" {
		t.Fatalf("%+v", said)
	}
	m.await("the wrapped one", func(one token) bool { return one.Accessor == said.Accessor && grantedByRule(one) })
	return "yes"
}
