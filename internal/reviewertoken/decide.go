package reviewertoken

import "time"

// Step is what is to be done now.
type Step int

// The steps.
const (
	// Nothing: there is nothing to do, or not yet.
	Nothing Step = iota
	// Exchange: a token is asked for by the one that somebody wrote.
	Exchange
	// Renew: one is asked for by the one that is stored.
	Renew
	// Forget: the one that somebody wrote was exchanged before, and is only taken out of the
	// configuration.
	Forget
	// Stuck: there is none to ask with.
	Stuck
)

// After an attempt that failed the next one is made after a sixtieth of a token's life: twelve
// times in the last fifth. A token that has ended is hardly ever taken again.
const (
	attemptsOfALife = 60
	leastPause      = 30 * time.Second
	mostPause       = 10 * time.Minute
	pauseAtTheEnd   = 10 * time.Minute
)

// clockSteps is by how much a clock may be behind the one that a token was stored by.
const clockSteps = time.Minute

// Decide says what is to be done. now is by Vault's clock; e may be nil. insist is for whoever
// asks for it: then nothing is waited for.
func Decide(e *Entry, w Want, now time.Time, insist bool) Step {
	serves := e.Serves(w)
	switch {
	case w.Account == "":
		return Nothing
	case w.First != "" && serves && e.First == digest(w.First) && e.Failure == "" && now.Before(e.Ends()):
		return Forget
	case w.First == "" && !serves:
		return Stuck
	case !insist && now.Before(retryAt(e, w, now)):
		return Nothing
	case w.First != "":
		return Exchange
	case insist, !now.Before(e.RenewAt()), now.Before(e.Began.Add(-clockSteps)):
		return Renew // in the last case nobody knows how old it is
	}
	return Nothing
}

// retryAt is when the next attempt may be made.
func retryAt(e *Entry, w Want, now time.Time) time.Time {
	if !e.isFor(w) || e.Attempt.IsZero() || now.Before(e.Attempt.Add(-clockSteps)) {
		return time.Time{}
	}
	pause := min(max(w.Life/attemptsOfALife, leastPause), mostPause)
	if e.Token != "" && !now.Before(e.Ends()) && w.First == "" {
		pause = pauseAtTheEnd
	}
	return e.Attempt.Add(pause)
}
