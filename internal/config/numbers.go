package config

import (
	"fmt"
	"time"

	"vault-plugin-auth-kubernetes/internal/numbers"
	"vault-plugin-auth-kubernetes/internal/posture"
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
		reviewerTTLField:         {maxReviewerTTL, "the default"},
		"token_review_cache_ttl": {maxReviewCacheTTL, "no cache"},
	} {
		if value, ok := numbers.Text(data, field); ok && !numbers.IsWholeSeconds(value) {
			return fmt.Errorf("%s: %s cannot be kept; give whole seconds between 1s and %s, such as 2s, or 0 for %s",
				field, numbers.Shown(value), limits.most, limits.zero)
		}
	}
	if err := posture.RefuseWritten(data); err != nil {
		return err
	}
	const reviews = "max_concurrent_reviews"
	if value, ok := numbers.Text(data, reviews); ok && !numbers.IsWhole(value) {
		return fmt.Errorf("%s: %s is no whole number; give one between 1 and %d, or 0 for the default", reviews, numbers.Shown(value), maxConcurrentLimit)
	}
	return nil
}
