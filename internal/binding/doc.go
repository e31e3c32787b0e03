// Package binding decides what a verified identity is granted: the selectors of
// roles and binding rules, the names that binding rules compute, and the join of
// all rules that match. It takes an identity and gives grants; it knows neither
// Vault nor the Kubernetes client, and does no I/O. What it lacks for a decision
// it asks of its caller, and only if the decision depends on it.
//
// Expressions are read when a rule or role is written or loaded; evaluating one
// parses nothing.
//
// # A value that is absent
//
// A token need not be bound to a pod, and a namespace need not have a label. One
// rule holds for everything that may be absent, the one that go-bexpr has for
// the keys of a map and Kubernetes for its label selectors: an absent value
// equals nothing, contains nothing and matches no regular expression, and it is
// empty. The negative operators are the exact negation: namespace.labels.team !=
// "ci" holds for a namespace without the label, as does its `not matches`.
//
// The alternative, absent values failing both operators, would make x != "a"
// differ from not x == "a", and could still be turned around by any `not`. The
// surprise that is left is a negative comparison that lets in what lacks the
// value; who wants to keep that out asks for presence as well: "team" in
// namespace.labels and namespace.labels.team != "ci". Where the surprise is
// certain, it is refused when written: pod.name != "" would hold for every token
// without a pod, so values that may be absent are not compared with the empty
// text; `is empty` and `is not empty` say what is meant.
package binding
