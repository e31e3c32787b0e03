package scrub

// IsToken is isToken for the tests.
var IsToken = isToken
