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

// Urgency is how much of a hurry somebody is in.
type Urgency int

// The urgencies.
const (
	// WhenDue waits for what is due, and after a failure for the next attempt: it is for what
	// looks once a minute.
	WhenDue Urgency = iota
	// FirstNow exchanges a first token at once, and is for whoever wrote one. Where another
	// writer's attempt has exchanged it meanwhile, nothing else is in a hurry.
	FirstNow
	// AllNow has another token asked for in any case, and is for whoever says so.
	AllNow
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

// Decide says what is to be done. now is by Vault's clock; e may be nil.
func Decide(e *Entry, w Want, now time.Time, u Urgency) Step {
	serves, waits := e.Serves(w), u == WhenDue || u == FirstNow && w.First == ""
	switch {
	case w.Account == "":
		return Nothing
	case w.First != "" && serves && e.First == digest(w.First) && e.Failure == "" && now.Before(e.Ends()):
		return Forget
	case w.First == "" && !serves:
		return Stuck
	case waits && now.Before(retryAt(e, w, now)):
		return Nothing
	case w.First != "":
		return Exchange
	case u == AllNow, !now.Before(e.RenewAt()), now.Before(e.Began.Add(-clockSteps)):
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
