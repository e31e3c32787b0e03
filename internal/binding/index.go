package binding

import "strings"

// Rules that let an annotation stand in for serviceaccount.name and those that do not
// see different names, and what a Vault token gets is no concern of what a Consul token
// gets. So each class has an index of its own.
type class struct{ plain, overriding string }

var (
	classVault  = class{plain: "p", overriding: "o"}
	classConsul = class{plain: "c", overriding: "d"}
)

func classOf(rule Rule) string {
	of := classVault
	if rule.BindType.ForConsul() {
		of = classConsul
	}
	if rule.UseServiceNameAnnotation {
		return of.overriding
	}
	return of.plain
}

// Rules are held in one immutable tree, ordered by text keys, in which those that
// can apply to an identity are found by prefix. Rules whose selector asks for one
// namespace or one name by == and nothing else can satisfy are found under it;
// the rest are found under keyRest and evaluated at each login.
const (
	keyName = "n" // n NAME: every rule, of either class

	// Below the key of the class:
	keyBoth      = "b" // b NAMESPACE 0 SERVICEACCOUNT 0 NAME
	keyNamespace = "s" // s NAMESPACE 0 NAME
	keyAccount   = "a" // a SERVICEACCOUNT 0 NAME
	keyRest      = "r" // r NAME
)

// end marks the end of a pinned value. Rules that pin a value which contains it
// are left to keyRest, so that no two rules have the same key. What is looked for
// may contain it; then rules are found that cannot match, and since all that are
// found are evaluated in full, that changes nothing.
const end = "\x00"

func indexKey(name string, selector *Selector) string {
	const namespaceName, accountName = "serviceaccount.namespace", "serviceaccount.name"
	pinned := pins(selector.root, namespaceName, accountName)
	namespace, byNamespace := pinned[namespaceName]
	account, byAccount := pinned[accountName]
	if strings.Contains(namespace+account, end) {
		return keyRest + name
	}
	switch {
	case byNamespace && byAccount:
		return keyBoth + namespace + end + account + end + name
	case byNamespace:
		return keyNamespace + namespace + end + name
	case byAccount:
		return keyAccount + account + end + name
	}
	return keyRest + name
}

// byAccount are the prefixes of the rules of a class that pin serviceaccount.name and
// can apply. While the name is unknown because an annotation may replace it, these
// are all that do not pin another namespace.
func byAccount(class string, v *view) []string {
	if v.nameUnknown() {
		return []string{class + keyBoth + v.id.Namespace() + end, class + keyAccount}
	}
	account := v.serviceAccountName()
	return []string{class + keyBoth + v.id.Namespace() + end + account + end, class + keyAccount + account + end}
}

// byOther are the prefixes of the rules of a class that do not pin
// serviceaccount.name and can apply.
func byOther(class string, v *view) []string {
	return []string{class + keyNamespace + v.id.Namespace() + end, class + keyRest}
}
