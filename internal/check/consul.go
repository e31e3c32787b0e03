package check

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vault-plugin-auth-kubernetes/internal/binding"
	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/shell"
)

// The checks of Consul.
const (
	checkConsul      = "consul"
	checkMayMint     = "consul_permission"
	checkConsulNames = "consul_names"
)

var consulChecks = []string{checkConsul, checkMayMint, checkConsulNames}

// checkConsulSide looks at the Consul that tokens are made in. Nothing is made.
func (c *checker) checkConsulSide(ctx context.Context) {
	mint, err := c.mount.Consul(ctx)
	switch {
	case err != nil:
		c.note(checkConsul, failed("write it anew: vault write "+shell.Word(c.mount.Path+"/"+consultoken.Path)+" address=… token=…", "consul/config cannot be used: %v", err))
	case mint == nil:
		c.note(checkConsul, skipped("there is no consul/config, so no Consul tokens are made"))
	default:
		ctx, cancel := mint.Config.Deadline(ctx)
		defer cancel()
		c.askConsul(ctx, mint)
	}
	for _, name := range consulChecks {
		c.skip(name, "Consul is not asked before consul passes")
	}
}

func (c *checker) skip(name, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.findings[name].verdict == "" {
		c.findings[name] = skipped("%s", text)
	}
}

func (c *checker) askConsul(ctx context.Context, mint *consultoken.Mint) {
	own, err := mint.Client.Self(ctx)
	if err != nil {
		c.note(checkConsul, failedBy(err))
		return
	}
	version := ""
	if agent, err := mint.Client.Agent(ctx); err == nil {
		version = agent.Config.Version
	}
	c.note(checkConsul, c.knows(ctx, mint, own, version))
	c.note(checkMayMint, mayMint(ctx, mint))
	c.note(checkConsulNames, c.consulNames(ctx, mint, version))
}

func failedBy(err error) finding {
	return failed(consultoken.Remedy(consulacl.FailureOf(err)), "%v", err)
}

// knows tells of a Consul that knows the plugin's own token.
func (c *checker) knows(ctx context.Context, mint *consultoken.Mint, own *consulacl.Token, version string) finding {
	text := fmt.Sprintf("%s knows the plugin's own token, with the accessor %s", mint.Config.Address, own.AccessorID)
	if version != "" {
		text += "; it is Consul " + version
	}
	if alive, err := mint.Alive(ctx); err == nil {
		text += fmt.Sprintf("; it has %d tokens of this mount", alive)
	}
	rotate := "vault write -f " + shell.Word(c.mount.Path+"/consul/rotate")
	switch {
	case mint.Config.MaxTTL() > consultoken.LongTTL && before(version, 1, 16):
		return failed("vault patch "+shell.Word(c.mount.Path+"/"+consultoken.Path)+" max_token_ttl=24h",
			"max_token_ttl is %s, and Consul %s takes %s at most", mint.Config.MaxTTL(), version, consultoken.LongTTL)
	case own.ExpirationTime != nil:
		return warned(rotate, "%s; its own token expires at %s", text, own.ExpirationTime.UTC())
	case mint.Config.Retired != "":
		return warned(rotate, "%s; a rotation left the token with the accessor %s", text, mint.Config.Retired)
	}
	return passed("%s", text)
}

func mayMint(ctx context.Context, mint *consultoken.Mint) finding {
	may, err := mint.Client.MayWriteACLs(ctx)
	switch {
	case consulacl.FailureOf(err) == consulacl.NotFound:
		return skipped("this Consul does not tell what a token may")
	case err != nil:
		return failedBy(err)
	case !may:
		return failed(consultoken.Remedy(consulacl.Denied), `the plugin's own token may not write ACLs, so no token can be made; it needs acl = "write"`)
	}
	return passed("the plugin's own token may write ACLs")
}

// consulNames looks whether Consul has what rules name, and can do what they ask for.
func (c *checker) consulNames(ctx context.Context, mint *consultoken.Mint, version string) finding {
	set, err := c.mount.Rules.Get(ctx, c.mount.Storage)
	if err != nil {
		return failed("see Vault's log", "the binding rules cannot be read: %v", err)
	}
	if set.LenForConsul() == 0 {
		return warned("vault write "+shell.Word(c.mount.Path+"/binding-rule/NAME")+" selector=… bind_type=consul-service bind_name=…", "no binding rule is for Consul tokens, so nobody gets one")
	}
	for _, t := range set.ConsulUses() {
		if t == binding.BindConsulTemplatedPolicy && before(version, 1, 17) {
			return failed("let Consul be 1.17 or later, or use consul-service and consul-node", "rules have the bind type %s, which Consul %s does not know", t, version)
		}
	}
	missing, looked, err := missingIn(ctx, mint, set.ConsulNames())
	switch {
	case err != nil:
		return failedBy(err)
	case len(missing) > 0:
		return warned("create them in Consul, or change the rules; logins skip what does not exist", "Consul does not have %s", scrub.Few(missing))
	}
	return passed("%d rules are for Consul tokens; Consul has the %d roles and policies that they name", set.LenForConsul(), looked)
}

// maxNamesLooked bounds how many names Consul is asked about.
const maxNamesLooked = 200

func missingIn(ctx context.Context, mint *consultoken.Mint, named map[binding.BindType][]string) (missing []string, looked int, err error) {
	for bindType, kind := range map[binding.BindType]consulacl.Kind{binding.BindConsulRole: consulacl.Role, binding.BindConsulPolicy: consulacl.Policy} {
		for _, name := range named[bindType] {
			if looked++; looked > maxNamesLooked {
				return missing, maxNamesLooked, nil
			}
			exists, err := mint.Client.Exists(ctx, kind, "", name)
			if err != nil {
				return nil, looked, err
			}
			if !exists {
				missing = append(missing, fmt.Sprintf("the %s %q", kind, name))
			}
		}
	}
	return missing, looked, nil
}

// before tells whether a version is known, and is an earlier one.
func before(version string, major, minor int) bool {
	is, err := numbersOf(version)
	return err == nil && (is[0] < major || is[0] == major && is[1] < minor)
}

func numbersOf(version string) (is [2]int, err error) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return is, errors.New("no version")
	}
	for i := range is {
		if is[i], err = strconv.Atoi(parts[i]); err != nil {
			return is, err
		}
	}
	return is, nil
}
