package typo

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Boolean tells of a text that is neither true nor false what was meant by it.
func Boolean(text string) (reason string) {
	reason = fmt.Sprintf("%.64q is neither true nor false; write ", text)
	switch bare(text) {
	case "yes", "y", "on", "enable", "enabled", "true", "ok":
		return reason + "true"
	case "no", "n", "off", "disable", "disabled", "false", "none", "never":
		return reason + "false"
	}
	return reason + "true or false"
}

var (
	amount = regexp.MustCompile(`^(\d{1,6}) ?([a-z]+)$`)
	units  = map[string]time.Duration{
		"s": time.Second, "sec": time.Second, "second": time.Second,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute,
		"h": time.Hour, "hr": time.Hour, "hour": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour,
		"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
	}
)

// Duration tells of a text that is none what was meant by it.
func Duration(text string) (reason string) {
	reason = fmt.Sprintf("%.64q is no duration; ", text)
	if said := amount.FindStringSubmatch(bare(text)); said != nil {
		unit, known := units[said[2]]
		if !known {
			unit, known = units[strings.TrimSuffix(said[2], "s")]
		}
		if count, err := strconv.Atoi(said[1]); err == nil && known {
			return reason + "write " + short(time.Duration(count)*unit)
		}
	}
	return reason + "write seconds, or a number with its unit, such as 30m"
}

// short is a duration in its largest unit without a rest.
func short(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// Whole tells of a text that it is no whole number.
func Whole(text string) (reason string) {
	return fmt.Sprintf("%.64q is no whole number, such as 5 is", text)
}

var pair = regexp.MustCompile(`^([^\s:=>,"']+)\s*(?:=>|->|:|=)\s*([^\s:=>,"']+)$`)

// KeyValue tells of a text that is no key with a value what was meant by it.
func KeyValue(text string) (reason string) {
	reason = fmt.Sprintf("%.64q is no key with its value; write ", text)
	object := map[string]string{}
	if json.Unmarshal([]byte(text), &object) == nil && len(object) > 0 {
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if strings.ContainsAny(key+object[key], "=, \"'") || object[key] == "" {
				return reason + "them as key=value, once for each"
			}
			pairs = append(pairs, key+"="+object[key])
		}
		if list := strings.Join(pairs, ","); len(list) <= maxMeant {
			return reason + list
		}
	}
	if parts := pair.FindStringSubmatch(strings.Trim(strings.TrimSpace(text), `"'{}`)); parts != nil {
		return reason + parts[1] + "=" + parts[2]
	}
	return reason + "them as key=value, once for each"
}

// nothing is what programs print where there is nothing: the vault command, jq, kubectl, and
// those that others are made of.
var nothing = []string{"n/a", "<nil>", "map[]", "[]", "null", "<no value>", "<none>", "undefined"}

// Nothing tells of a text whether it is what a program prints where there is nothing, which
// is taken for a value; empty if it is not. form is what says that there is none.
func Nothing(text, form string) (reason string) {
	if !slices.Contains(nothing, strings.TrimSpace(text)) {
		return ""
	}
	return fmt.Sprintf("%q is what programs print where there is nothing, and a value here; for none write %s", strings.TrimSpace(text), form)
}

// discovery is where an issuer is read, and no part of it.
const discovery = "/.well-known/openid-configuration"

// Issuer tells of an issuer that no token can have what was meant by it; empty if one can.
func Issuer(text string) (reason string) {
	meant := strings.TrimSuffix(strings.TrimSpace(strings.Trim(strings.TrimSpace(text), `[]"'`)), discovery)
	if strings.ContainsAny(meant, " ,\"'[]") || meant == "" || !strings.ContainsAny(text, `"'[]`) && !strings.Contains(text, discovery) {
		return ""
	}
	return fmt.Sprintf("%.128q is taken as it is, and no token has it; write %s", text, meant)
}

// bare is a text in lower case without what people put around values.
func bare(text string) string {
	return strings.ToLower(strings.Trim(strings.TrimSpace(text), `"'`))
}
