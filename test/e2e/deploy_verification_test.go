package e2e

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
