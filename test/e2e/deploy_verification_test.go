package e2e

import (
	"fmt"
	"time"
)

func tryKeysThenReview(v *vaultOf) error {
	a := v.c.newAccount(v.t, "", "app", nil)
	v.configure(fields{"verification": "keys_then_review"}, "role/app", bound(a, nil))
	_, err := v.logIn(a, fields{"role": "app"})
	return err
}

func tryKeys(v *vaultOf) error {
	a := v.c.newAccount(v.t, "", "app", nil)
	v.configure(fields{"verification": "keys"}, "role/app", bound(a, nil))
	jwt, _ := v.c.newPodToken(v.t, a)
	_, err := v.logIn(a, fields{"role": "app", "jwt": jwt})
	return err
}

// tryLive works if logins are verified by live, and still are when all that a list told is
// too old: it is the watch that keeps it young.
func tryLive(v *vaultOf) error {
	const staleness, tries = 10 * time.Second, 9 * time.Second
	a := v.c.newAccount(v.t, "", "app", nil)
	v.configure(fields{"verification": "live", "live_staleness": staleness.Seconds()}, "role/app", bound(a, nil))
	jwt, _ := v.c.newPodToken(v.t, a)
	by := func() string {
		got := v.m.login(v.t, fields{"role": "app", "jwt": jwt})
		auth, _ := got.Body["auth"].(map[string]any)
		metadata, _ := auth["metadata"].(map[string]any)
		said, _ := metadata["verified_by"].(string)
		return said
	}
	for end := time.Now().Add(tries); by() != "live"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("no login is verified by live within %s", tries)
		}
	}
	time.Sleep(staleness + 3*time.Second)
	if said := by(); said != "live" {
		return fmt.Errorf("after %s a login is verified by %q", staleness+3*time.Second, said)
	}
	return nil
}
