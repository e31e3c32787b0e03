package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// RefuseNumbers refuses numbers and durations of the configuration that the framework
// would make others of without a word: it cuts 500ms to no second at all, which is the
// default, and reads 010 as 8. The fields are none of Vault's own method, whose way with
// numbers stays.
func RefuseNumbers(data map[string]any) error {
	for field, limits := range map[string]struct {
		most time.Duration
		zero string
	}{
		"request_timeout":        {maxRequestTimeout, "the default"},
		"token_review_cache_ttl": {maxReviewCacheTTL, "no cache"},
	} {
		if value, ok := numberText(data, field); ok && !isWholeSeconds(value) {
			return fmt.Errorf("%s: %s cannot be kept; give whole seconds between 1s and %s, such as 2s, or 0 for %s",
				field, shownNumber(value), limits.most, limits.zero)
		}
	}
	const reviews = "max_concurrent_reviews"
	if value, ok := numberText(data, reviews); ok && !isWholeNumber(value) {
		return fmt.Errorf("%s: %s is no whole number; give one between 1 and %d, or 0 for the default", reviews, shownNumber(value), maxConcurrentLimit)
	}
	return nil
}

// likeANumber is what an error may repeat; what else stands in the field may be anything,
// such as a token by mistake.
var likeANumber = regexp.MustCompile(`^[-+]?[0-9.][0-9.a-z]{0,15}$`)

func shownNumber(text string) string {
	if likeANumber.MatchString(text) {
		return text
	}
	return "what was sent"
}

// numberText is the value of a field as it was written. An empty one and null reset a
// field.
func numberText(data map[string]any, field string) (text string, ok bool) {
	switch value := data[field].(type) {
	case nil:
		return "", false
	case string:
		return value, value != ""
	case json.Number:
		return value.String(), true
	default:
		return fmt.Sprint(value), true // a number, or a flag or a list, which are none
	}
}

func isWholeNumber(text string) bool {
	n, err := strconv.ParseInt(text, 10, 32)
	return err == nil && n >= 0 && strconv.FormatInt(n, 10) == text
}

func isWholeSeconds(text string) bool {
	d, err := durationOf(text)
	return err == nil && d >= 0 && d%time.Second == 0
}

// durationOf reads a duration as Vault does: seconds where it has no unit, and days.
func durationOf(text string) (time.Duration, error) {
	count, unit := text, time.Second
	if days, found := strings.CutSuffix(text, "d"); found {
		count, unit = days, 24*time.Hour
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return time.ParseDuration(text)
	}
	if n < 0 || n > int64(time.Duration(1<<63-1)/unit) {
		return 0, errors.New("out of range")
	}
	return time.Duration(n) * unit, nil
}
