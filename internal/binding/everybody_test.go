package binding

import "testing"

// Selectors that are as good as none, by whether they are.
func TestHoldsForAnybody(t *testing.T) {
	for selector, want := range map[string]bool{
		"":                                       true,
		"*":                                      true,
		`serviceaccount.namespace matches "."`:   true,
		`serviceaccount.namespace matches ".+"`:  true,
		`serviceaccount.name matches "^.+$"`:     true,
		`serviceaccount.name matches "[a-z0-9]"`: true,
		`serviceaccount.name matches "[a-z]"`:    true,
		`serviceaccount.name matches "^[a-z0-9.-]{1,253}$"`:                  true,
		"serviceaccount.namespace matches `\\w`":                             true,
		"serviceaccount.namespace matches `^\\S+$`":                          true,
		`serviceaccount.namespace matches "^[^_]*$"`:                         true,
		`serviceaccount.namespace not matches "[A-Z]"`:                       false, // leaves out what cannot be, and is read as meant
		`serviceaccount.namespace not matches "^$"`:                          true,
		`serviceaccount.uid matches "-"`:                                     true,
		`serviceaccount.uid matches "^[0-9a-f-]{36}$"`:                       true,
		`namespace.labels is not empty`:                                      true,
		`audiences is not empty`:                                             true,
		`namespace.labels["kubernetes.io/metadata.name"] is not empty`:       true,
		`namespace.labels["kubernetes.io/metadata.name"] matches "."`:        true,
		`"kubernetes.io/metadata.name" in namespace.labels`:                  true,
		`pod.name is empty or pod.name matches "."`:                          true,
		`pod.name == "a" or pod.name != "a"`:                                 true,
		`serviceaccount.namespace matches "." and serviceaccount.name != ""`: true,
		`serviceaccount.namespace != "a" or serviceaccount.namespace != "b"`: true,
		`cluster.name == "east"`:                                             true,

		`serviceaccount.namespace == "shop"`:                                                   false,
		`serviceaccount.namespace != "kube-system"`:                                            false,
		`serviceaccount.namespace not matches "^kube-"`:                                        false,
		`serviceaccount.namespace not matches "^(kube|openshift)-"`:                            false,
		"serviceaccount.namespace not matches `\\bkube\\b`":                                    false,
		`serviceaccount.namespace not contains "kube"`:                                         false,
		`serviceaccount.namespace matches "^[^k]"`:                                             false,
		`not (serviceaccount.namespace == "kube-system" and serviceaccount.name == "admin")`:   false,
		`serviceaccount.namespace != "kube-system" or serviceaccount.name != "admin"`:          false,
		`serviceaccount.namespace matches "^team-"`:                                            false,
		`serviceaccount.namespace matches "-"`:                                                 false,
		`serviceaccount.namespace matches "e"`:                                                 false,
		`serviceaccount.namespace matches "[0-9]"`:                                             false,
		`serviceaccount.name matches "^[a-m]"`:                                                 false,
		`serviceaccount.name matches "a$"`:                                                     false,
		`serviceaccount.name contains "a"`:                                                     false,
		`serviceaccount.name != "default"`:                                                     false,
		`namespace.labels.team is not empty`:                                                   false,
		`namespace.labels.team != "ci"`:                                                        false,
		`"team" not in namespace.labels`:                                                       false,
		`"vault" in audiences`:                                                                 false,
		`"vault" not in audiences`:                                                             false,
		`pod.name is not empty`:                                                                false,
		`pod.name is empty`:                                                                    false,
		`pod.name matches "."`:                                                                 false,
		`node.name != "n1"`:                                                                    false,
		`serviceaccount.labels is empty`:                                                       false,
		`consul.namespace != "default"`:                                                        false,
		`cluster.name == "west"`:                                                               false,
		`cluster.name != "west"`:                                                               true, // it is another cluster
		`serviceaccount.namespace == "" or serviceaccount.namespace matches "^payments-api-2"`: false,
	} {
		if got := mustSelector(t, selector).HoldsForAnybody(Setting{ClusterName: "east"}); got != want {
			t.Errorf("%s: %t", selector, got)
		}
	}
}
